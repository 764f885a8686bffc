import { readFileSync } from "node:fs";
import path from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { refusals } from "../../functions/api-ingestion/refusals.ts";
import { useKey } from "../lib/grants.ts";
import { policyDocument, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { root, sha256 } from "../package/artifacts.ts";
import type { NamedStream } from "./sources.ts";

/** A path to which events are posted, one JSON object a request. */
export interface EventPath {
  readonly path: string;
  /** JSON schema (draft 4) that a body has to satisfy. */
  readonly schema: object;
}

export interface RestApiArgs {
  readonly place: pulumi.Input<Place>;
  /** Where all paths lead. */
  readonly stream: NamedStream;
  readonly paths: readonly EventPath[];
  /** IAM roles and users that may post. */
  readonly producers: readonly pulumi.Input<string>[];
  /** Requests a second, on average. @default 50 */
  readonly requestsPerSecond?: pulumi.Input<number> | undefined;
  /** Requests at once, at most. @default 100 */
  readonly burst?: pulumi.Input<number> | undefined;
  /** A web ACL of WAF (regional). @default none */
  readonly webAclArn?: pulumi.Input<string> | undefined;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number> | undefined;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  readonly transform?: { readonly stage?: Transform<aws.apigateway.StageArgs> };
}

/** The mapping template that the local API evaluates too; it takes the stream's name from the stage. */
export const putRecordTemplate = readFileSync(
  path.join(root, "functions/api-ingestion/put-record.vtl"),
  "utf8",
);

const accessLogFormat = JSON.stringify({
  requestId: "$context.requestId",
  time: "$context.requestTimeEpoch",
  caller: "$context.identity.userArn",
  sourceIp: "$context.identity.sourceIp",
  method: "$context.httpMethod",
  path: "$context.resourcePath",
  status: "$context.status",
  bytesIn: "$context.requestOverride.header.Content-Length",
  latencyMs: "$context.responseLatency",
  validation: "$context.error.validationErrorString",
  error: "$context.error.message",
});

const { throttled, tooLarge, fault, unavailable } = refusals;
const bodyOf = ({ message }: { readonly message: string }): string => JSON.stringify({ message });

/**
 * What Kinesis refuses, it refuses with 400: which of its errors it is, only the body says. The caller may try again
 * (429) or has to send less (413); anything else, a missing right for one, is a fault here and counts as one.
 */
const refused = `#set($error = $input.path('$.__type').toString())
#if($error.contains("ProvisionedThroughputExceeded"))
#set($context.responseOverride.status = ${throttled.status})
${bodyOf(throttled)}
#elseif($error.contains("ValidationException") && $input.path('$.message').toString().contains("'data'"))
#set($context.responseOverride.status = ${tooLarge.status})
${bodyOf(tooLarge)}
#else
${bodyOf(fault)}
#end`;

/** Answers by the status that Kinesis gives: pattern, our status, and the body. */
const answers = [
  { status: "200", body: '{"sequenceNumber":"$input.path(\'$.SequenceNumber\')"}' },
  { status: String(fault.status), pattern: "4\\d{2}", body: refused },
  { status: String(unavailable.status), pattern: "5\\d{2}", body: bodyOf(unavailable) },
];

/**
 * A REST API that puts events into Kinesis without any code between: named principals sign their requests, a body is
 * checked against its contract, and more than the limit is refused.
 *
 * @example
 * const api = new RestApi("shop-dev", {
 *   place, ...keys,
 *   stream: { name: pulumi.output("events"), arn: pulumi.output("arn:…") },
 *   paths: [{ path: "events", schema: { type: "object" } }],
 *   producers: ["arn:aws:iam::111122223333:role/checkout"],
 * });
 * api.url;
 */
export class RestApi extends pulumi.ComponentResource {
  readonly url: pulumi.Output<string>;
  readonly apiName: string;
  readonly nodes: { readonly api: aws.apigateway.RestApi; readonly stage: aws.apigateway.Stage };

  constructor(name: string, args: RestApiArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:RestApi", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const region = arns.place.apply((place) => place.region);
    this.apiName = `${name}-events`;

    const api = createApi();
    const policy = allowProducers();
    const role = createRole();
    const validator = new aws.apigateway.RequestValidator(
      `${name}-events`,
      { name: `${name}-body`, restApi: api.id, validateRequestBody: true, validateRequestParameters: true },
      { parent },
    );
    const made = args.paths.flatMap(createPath);
    const stage = createStage();
    this.url = pulumi.interpolate`https://${api.id}.execute-api.${region}.amazonaws.com/v1`;
    this.nodes = { api, stage };
    this.registerOutputs({ url: this.url });

    function createApi(): aws.apigateway.RestApi {
      return new aws.apigateway.RestApi(
        `${name}-events`,
        {
          name: `${name}-events`,
          description: "Takes events into the streams",
          endpointConfiguration: { types: "REGIONAL" },
        },
        { parent },
      );
    }

    function allowProducers(): aws.apigateway.RestApiPolicy {
      return new aws.apigateway.RestApiPolicy(
        `${name}-events`,
        {
          restApiId: api.id,
          policy: policyDocument([
            {
              sid: "NamedProducers",
              principals: { AWS: [...args.producers] },
              actions: ["execute-api:Invoke"],
              resources: args.paths.map((each) =>
                arns.regional("execute-api", pulumi.interpolate`${api.id}/v1/POST/${each.path}`),
              ),
            },
          ]),
        },
        { parent },
      );
    }

    function createRole(): WorkloadRole {
      return new WorkloadRole(
        `${name}-api`,
        {
          place: args.place,
          description: `API Gateway puts events into the streams of ${name}`,
          trust: "apigateway.amazonaws.com",
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            put: [
              {
                sid: "PutEvents",
                actions: ["kinesis:PutRecord"],
                resources: [args.stream.arn],
              },
              ...useKey(arns, args.dataKeyArn, { encrypt: ["kinesis"] }),
            ],
          },
        },
        { parent },
      );
    }

    function createPath({ path: pathPart, schema }: EventPath): pulumi.Resource[] {
      const own = `${name}-${pathPart}`;
      const resource = new aws.apigateway.Resource(
        own,
        { restApi: api.id, parentId: api.rootResourceId, pathPart },
        { parent },
      );
      const model = new aws.apigateway.Model(
        own,
        {
          restApi: api.id,
          name: pathPart.replaceAll(/[^A-Za-z0-9]/g, ""),
          contentType: "application/json",
          schema: JSON.stringify(schema),
        },
        { parent },
      );
      const at = { restApi: api.id, resourceId: resource.id, httpMethod: "POST" };
      const method = new aws.apigateway.Method(
        own,
        {
          ...at,
          authorization: "AWS_IAM",
          requestModels: { "application/json": model.name },
          requestValidatorId: validator.id,
        },
        { parent },
      );
      const integration = new aws.apigateway.Integration(
        own,
        {
          ...at,
          type: "AWS",
          integrationHttpMethod: "POST",
          uri: arns.place.apply(
            (place) => `arn:${place.partition}:apigateway:${place.region}:kinesis:action/PutRecord`,
          ),
          credentials: role.arn,
          passthroughBehavior: "NEVER",
          requestParameters: { "integration.request.header.Content-Type": "'application/x-amz-json-1.1'" },
          requestTemplates: { "application/json": putRecordTemplate },
          timeoutMilliseconds: 10_000,
        },
        { parent, dependsOn: [method, role] },
      );
      const responses = answers.flatMap(({ status, pattern, body }) => {
        const response = new aws.apigateway.MethodResponse(
          `${own}-${status}`,
          { ...at, statusCode: status, responseModels: { "application/json": "Empty" } },
          { parent, dependsOn: [method] },
        );
        return [
          response,
          new aws.apigateway.IntegrationResponse(
            `${own}-${status}`,
            {
              ...at,
              statusCode: status,
              ...(pattern !== undefined && { selectionPattern: pattern }),
              responseTemplates: { "application/json": body },
            },
            { parent, dependsOn: [integration, response] },
          ),
        ];
      });
      return [model, method, integration, ...responses];
    }

    function createStage(): aws.apigateway.Stage {
      const group = new aws.cloudwatch.LogGroup(
        `${name}-events`,
        {
          name: `/aws/apigateway/${name}-events`,
          retentionInDays: args.logRetentionDays ?? 30,
          kmsKeyId: args.logsKeyArn,
        },
        { parent },
      );
      const deployment = new aws.apigateway.Deployment(
        `${name}-events`,
        {
          restApi: api.id,
          // A deployment is a copy: without a new one, what changed above stays without effect.
          triggers: {
            definition: pulumi
              .jsonStringify([args.paths, putRecordTemplate, answers, policy.policy])
              .apply(sha256),
          },
        },
        { parent, dependsOn: [...made, policy] },
      );
      const stage = new aws.apigateway.Stage(
        ...transformed(
          args.transform?.stage,
          `${name}-events`,
          {
            restApi: api.id,
            deployment: deployment.id,
            stageName: "v1",
            variables: { stream: args.stream.name },
            xrayTracingEnabled: true,
            accessLogSettings: { destinationArn: arns.logGroup(group.name), format: accessLogFormat },
          },
          { parent },
        ),
      );
      new aws.apigateway.MethodSettings(
        `${name}-events`,
        {
          restApi: api.id,
          stageName: stage.stageName,
          methodPath: "*/*",
          settings: {
            metricsEnabled: true,
            loggingLevel: "ERROR",
            // Bodies hold personal data: they are logged nowhere.
            dataTraceEnabled: false,
            throttlingRateLimit: args.requestsPerSecond ?? 50,
            throttlingBurstLimit: args.burst ?? 100,
          },
        },
        { parent },
      );
      if (args.webAclArn !== undefined) {
        new aws.wafv2.WebAclAssociation(
          `${name}-events`,
          {
            resourceArn: pulumi.interpolate`arn:${arns.place.apply((place) => place.partition)}:apigateway:${region}::/restapis/${api.id}/stages/${stage.stageName}`,
            webAclArn: args.webAclArn,
          },
          { parent },
        );
      }
      return stage;
    }
  }
}
