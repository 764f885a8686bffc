import type { Resource } from "../rule.ts";

const urnOf = (type: string, name: string): string => `urn:pulumi:prod::securecart-etl::${type}::${name}`;

const tags = {
  project: "securecart-etl",
  environment: "prod",
  owner: "data-platform",
  "cost-center": "data",
  "managed-by": "pulumi",
};

/**
 * Compliant resources of the types that rules know and the prod stack does not have (yet), so that every rule has
 * something to judge. A type that the stack has by now is left out.
 *
 * @param stack resources that they refer to: a key, subnets, a log group, a topic
 */
export function extraResources(stack: readonly Resource[]): readonly Resource[] {
  const present = new Set(stack.map(({ type }) => type));
  const key = stack.find(({ type, name }) => type === "aws:kms/key:Key" && name.endsWith("-data"));
  const log = stack.find(({ type }) => type === "aws:cloudwatch/logGroup:LogGroup");
  const vpc = stack.find(({ type }) => type === "awsx:ec2:Vpc");
  if (!key || !log || !vpc) throw new Error("the prod stack has no data key, log group or VPC any more");
  const keyArn = "arn:aws:kms:eu-central-1:444455556666:key/795df133-8ea0-4e6a-cdb8-eac4acf89c99";
  const topicArn = "arn:aws:sns:eu-central-1:444455556666:securecart-prod-alerts";
  const queueArn = (name: string): string => `arn:aws:sqs:eu-central-1:444455556666:${name}`;
  const streamArn = "arn:aws:kinesis:eu-central-1:444455556666:stream/extra";
  const subnets = ["subnet-1", "subnet-2", "subnet-3"];
  const made: Resource[] = [];
  const add = (
    type: string,
    name: string,
    inputs: Readonly<Record<string, unknown>>,
    references: Readonly<Record<string, readonly string[]>> = {},
    protect = false,
  ): void => {
    made.push({
      urn: urnOf(type, name),
      type,
      name,
      inputs,
      dependencies: [...new Set(Object.values(references).flat())],
      propertyDependencies: references,
      protect,
    });
  };
  const alarm = (name: string, metricName: string, dimensions: Readonly<Record<string, string>>): void =>
    add("aws:cloudwatch/metricAlarm:MetricAlarm", name, {
      name,
      metricName,
      dimensions,
      alarmActions: [topicArn],
      evaluationPeriods: 1,
      period: 300,
      tags,
    });

  const api = urnOf("aws:apigateway/restApi:RestApi", "extra");
  add("aws:apigateway/restApi:RestApi", "extra", {
    name: "extra",
    endpointConfiguration: { types: "REGIONAL" },
    tags,
  });
  add(
    "aws:apigateway/requestValidator:RequestValidator",
    "extra",
    { restApi: "abc", validateRequestBody: true, validateRequestParameters: true },
    { restApi: [api] },
  );
  add(
    "aws:apigateway/method:Method",
    "extra",
    {
      restApi: "abc",
      httpMethod: "POST",
      authorization: "AWS_IAM",
      requestValidatorId: "val",
      requestModels: { "application/json": "Event" },
    },
    {
      restApi: [api],
      requestValidatorId: [urnOf("aws:apigateway/requestValidator:RequestValidator", "extra")],
    },
  );
  add("aws:apigateway/method:Method", "extra-custom", {
    restApi: "abc",
    httpMethod: "GET",
    authorization: "CUSTOM",
    authorizerId: "auth",
    requestValidatorId: "val",
  });
  add(
    "aws:apigateway/integration:Integration",
    "extra",
    { restApi: "abc", httpMethod: "POST", type: "HTTP", uri: "https://partner.example.com/" },
    { restApi: [api] },
  );
  add(
    "aws:apigateway/stage:Stage",
    "extra",
    {
      restApi: "abc",
      stageName: "v1",
      xrayTracingEnabled: true,
      accessLogSettings: {
        destinationArn: "arn:aws:logs:eu-central-1:444455556666:log-group:/aws/vpc/securecart-prod/flow",
        format: "$context.requestId",
      },
      tags,
    },
    { restApi: [api] },
  );
  add(
    "aws:apigateway/methodSettings:MethodSettings",
    "extra",
    {
      restApi: "abc",
      stageName: "v1",
      methodPath: "*/*",
      settings: {
        loggingLevel: "ERROR",
        dataTraceEnabled: false,
        throttlingRateLimit: 500,
        throttlingBurstLimit: 200,
        cachingEnabled: true,
        cacheDataEncrypted: true,
      },
    },
    { restApi: [api] },
  );
  add("aws:apigateway/domainName:DomainName", "extra", {
    domainName: "events.example.com",
    securityPolicy: "TLS_1_2",
  });
  const stage = stack.find(({ type }) => type === "aws:apigateway/stage:Stage");
  if (!stage) throw new Error("the prod stack has no stage any more");
  add(
    "aws:wafv2/webAclAssociation:WebAclAssociation",
    "extra",
    {
      resourceArn: `arn:aws:apigateway:eu-central-1::/restapis/${stage.inputs.restApi}/stages/${stage.inputs.stageName}`,
      webAclArn: "acl",
    },
    { resourceArn: [stage.urn] },
  );
  add("aws:kinesis/stream:Stream", "extra", {
    name: "extra",
    encryptionType: "KMS",
    kmsKeyId: keyArn,
    retentionPeriod: 168,
    shardCount: 2,
    tags,
  });
  alarm("extra-stream", "GetRecords.IteratorAgeMilliseconds", { StreamName: "extra" });
  add("aws:lambda/eventSourceMapping:EventSourceMapping", "extra", {
    eventSourceArn: streamArn,
    functionName: "securecart-prod-plan",
    tags,
    maximumRetryAttempts: 10,
    maximumRecordAgeInSeconds: 86_400,
    bisectBatchOnFunctionError: true,
    destinationConfig: { onFailure: { destinationArn: queueArn("securecart-prod-failures") } },
  });
  add("aws:lambda/eventSourceMapping:EventSourceMapping", "extra-queue", {
    eventSourceArn: queueArn("extra"),
    functionName: "securecart-prod-plan",
    tags,
    functionResponseTypes: ["ReportBatchItemFailures"],
  });
  for (const name of ["extra", "extra-dead"]) {
    add("aws:sqs/queue:Queue", name, {
      name,
      kmsMasterKeyId: keyArn,
      messageRetentionSeconds: 1_209_600,
      tags,
      policy: JSON.stringify({
        Version: "2012-10-17",
        Statement: {
          Effect: "Deny",
          Principal: "*",
          Action: "sqs:*",
          Resource: queueArn(name),
          Condition: { Bool: { "aws:SecureTransport": "false" } },
        },
      }),
      ...(name === "extra"
        ? {
            redrivePolicy: JSON.stringify({
              deadLetterTargetArn: queueArn("extra-dead"),
              maxReceiveCount: 5,
            }),
          }
        : {
            redriveAllowPolicy: JSON.stringify({
              redrivePermission: "byQueue",
              sourceQueueArns: [queueArn("extra")],
            }),
          }),
    });
    alarm(`${name}-depth`, "ApproximateNumberOfMessagesVisible", { QueueName: name });
  }
  add("aws:lambda/permission:Permission", "extra", {
    action: "lambda:InvokeFunction",
    function: "securecart-prod-plan",
    principal: "s3.amazonaws.com",
    sourceArn: "arn:aws:s3:::securecart-prod-landing-444455556666-eu-central-1",
    sourceAccount: "444455556666",
  });
  add("aws:lambda/functionUrl:FunctionUrl", "extra", {
    functionName: "securecart-prod-plan",
    tags,
    authorizationType: "AWS_IAM",
  });
  add("aws:secretsmanager/secret:Secret", "extra", {
    name: "extra",
    kmsKeyId: keyArn,
    recoveryWindowInDays: 30,
    tags,
  });
  add(
    "aws:secretsmanager/secretRotation:SecretRotation",
    "extra",
    { secretId: "extra", rotationRules: { automaticallyAfterDays: 30 } },
    { secretId: [urnOf("aws:secretsmanager/secret:Secret", "extra")] },
  );
  add(
    "aws:rds/instance:Instance",
    "extra",
    {
      identifier: "extra",
      engine: "mysql",
      instanceClass: "db.t4g.medium",
      storageEncrypted: true,
      kmsKeyId: keyArn,
      publiclyAccessible: false,
      backupRetentionPeriod: 7,
      multiAz: true,
      deletionProtection: true,
      skipFinalSnapshot: false,
      finalSnapshotIdentifier: "extra-final",
      manageMasterUserPassword: true,
      masterUserSecretKmsKeyId: keyArn,
      enabledCloudwatchLogsExports: ["audit", "error", "slowquery"],
      dbSubnetGroupName: "extra",
      parameterGroupName: "extra",
      tags,
    },
    {},
    true,
  );
  add("aws:rds/parameterGroup:ParameterGroup", "extra", {
    name: "extra",
    parameters: [{ name: "require_secure_transport", value: "1" }],
  });
  const subnet = urnOf("aws:ec2/subnet:Subnet", "extra");
  add("aws:ec2/subnet:Subnet", "extra", {
    vpcId: "vpc-1",
    availabilityZone: "eu-central-1a",
    mapPublicIpOnLaunch: false,
    tags,
  });
  add(
    "aws:rds/subnetGroup:SubnetGroup",
    "extra",
    { name: "extra", subnetIds: subnets },
    { subnetIds: [subnet] },
  );
  add("aws:glue/crawler:Crawler", "extra", {
    name: "extra",
    securityConfiguration: "securecart-prod-batch",
    tags,
  });
  add("aws:ec2/securityGroupRule:SecurityGroupRule", "extra", {
    type: "ingress",
    cidrBlocks: ["10.0.0.0/16"],
    protocol: "tcp",
    fromPort: 443,
    toPort: 443,
  });
  add("aws:ec2/securityGroupRule:SecurityGroupRule", "extra-self", {
    type: "ingress",
    securityGroupId: "sg-1",
    sourceSecurityGroupId: "sg-1",
    protocol: "tcp",
    fromPort: 0,
    toPort: 65_535,
  });
  add("aws:ec2/routeTable:RouteTable", "extra", {
    vpcId: "vpc-1",
    routes: [{ cidrBlock: "10.110.0.0/16", vpcPeeringConnectionId: "pcx-1" }],
    tags,
  });
  add("aws:ec2/defaultRouteTable:DefaultRouteTable", "extra", {
    defaultRouteTableId: "rtb-1",
    routes: [{ cidrBlock: "10.110.0.0/16", vpcPeeringConnectionId: "pcx-1" }],
    tags,
  });
  // What the stack has of its own is judged there; of these types a case needs a variant that it lacks.
  const shared = new Set([
    "aws:apigateway/method:Method",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:sqs/queue:Queue",
    "aws:lambda/eventSourceMapping:EventSourceMapping",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/routeTable:RouteTable",
  ]);
  return made.filter(({ type }) => shared.has(type) || !present.has(type));
}
