/**
 * Why a blind change need not be found, by the type, the property and the kind of change that it is about.
 *
 * In a property `*` stands for one name, `**` for any rest. Each pattern is held to fit a survivor: one that fits
 * none any more is a failure, as is a survivor that none fits.
 */
import type { BlindMutant } from "./blind.ts";

type Kind = BlindMutant["kind"];

interface Explanation {
  /** As the survivor has it, `aws:glue/job:Job`. */
  readonly type: string;
  readonly kind: Kind;
  readonly property: string;
  readonly reason: string;
}

/** Explanations of one type: a reason, and after it the kinds of change with the properties that it is about. */
const of = (
  type: string,
  ...entries: readonly (readonly [reason: string, changes: Readonly<Record<string, string>>])[]
): readonly Explanation[] =>
  entries.flatMap(([reason, changes]) =>
    Object.entries(changes).flatMap(([kinds, properties]) =>
      kinds
        .split(" ")
        .flatMap((kind) =>
          properties.split(/\s+/).map((property) => ({ type, kind: kind as Kind, property, reason })),
        ),
    ),
  );

const refused = "AWS refuses the resource without it, or with such a value";
const named = "Pulumi makes up a name; where others refer to it by name, the deployment fails";
const ownTag =
  "the tag by which this program's roles find their own: the deployment's or the workload's call is refused";
const text = "text for people: it protects nothing";
const sid = "a name for people";
const language =
  "without a version IAM reads the older language, which has no policy variables: of those that use one, less is allowed";
const less = "less is allowed, or AWS refuses the statement";
const noneLeft = "nobody is meant any more: AWS refuses the statement";
const asDefault = "AWS's default is the same, or within the rule's bounds";
const flow =
  "how data passes through the states: the workflow's tests run every path, a state without what it needs fails, and failures are caught and told";
const noFlow = "AWS refuses a definition that is not whole";
const breaks =
  "what calls it without this fails, which its alarm or its caller tells; the part's tests run it";

const statements = (property: string): Readonly<Record<string, string>> => ({
  removed: `${property}:Statement[].Sid`,
});

export const explanations: readonly Explanation[] = [
  ...of("aws:apigateway/account:Account", [
    "without the role API Gateway writes no logs and refuses a stage that asks for them",
    { removed: "cloudwatchRoleArn" },
  ]),
  ...of(
    "aws:apigateway/deployment:Deployment",
    [refused, { removed: "restApi" }],
    ["when it is deployed anew: the API's tests hold it", { removed: "triggers triggers.definition" }],
  ),
  ...of(
    "aws:apigateway/integration:Integration",
    [refused, { removed: "httpMethod integrationHttpMethod resourceId restApi type uri" }],
    ["the call to the stream is refused: its role is what may write", { removed: "credentials" }],
    [
      "what the request looks like: the API's tests hold it, and the stream refuses what is none",
      {
        removed:
          "passthroughBehavior requestParameters requestParameters.** requestTemplates requestTemplates.application/json",
      },
    ],
    [
      "29 seconds are the default, and AWS refuses less than 50 ms or more",
      { "removed zero maximum": "timeoutMilliseconds" },
    ],
  ),
  ...of("aws:apigateway/integrationResponse:IntegrationResponse", [
    "what the answer looks like: the API's tests hold it, and AWS refuses one without method or status",
    {
      removed:
        "httpMethod resourceId restApi statusCode selectionPattern responseTemplates responseTemplates.application/json " +
        "responseTemplates.application/json:*",
    },
  ]),
  ...of("aws:apigateway/method:Method", [refused, { removed: "httpMethod resourceId restApi" }]),
  ...of("aws:apigateway/methodResponse:MethodResponse", [
    "what the answer looks like: the API's tests hold it, and AWS refuses one without method or status",
    { removed: "httpMethod resourceId restApi statusCode responseModels responseModels.application/json" },
  ]),
  ...of(
    "aws:apigateway/methodSettings:MethodSettings",
    [refused, { removed: "restApi" }],
    [asDefault, { removed: "settings.dataTraceEnabled" }],
  ),
  ...of(
    "aws:apigateway/model:Model",
    [refused, { removed: "contentType name restApi" }],
    [text, { removed: "schema:$schema schema:title schema:properties.*.description" }],
    [
      "one field more or less, or of a wider type: the function that reads it quarantines what is none of its contract",
      {
        removed:
          "schema:required[] schema:properties.* " +
          "schema:properties.*.type[] schema:properties.*.minimum schema:properties.*.maximum schema:properties.*.minLength",
        zero: "schema:properties.*.minimum schema:properties.*.maximum schema:properties.*.minLength",
        maximum: "schema:properties.*.minimum schema:properties.*.maximum schema:properties.*.minLength",
      },
    ],
  ),
  ...of("aws:apigateway/requestValidator:RequestValidator", [refused, { removed: "name restApi" }]),
  ...of("aws:apigateway/resource:Resource", [refused, { removed: "parentId pathPart restApi" }]),
  ...of(
    "aws:apigateway/restApi:RestApi",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:apigateway/restApiPolicy:RestApiPolicy",
    [refused, { removed: "policy restApiId policy:Statement[].Resource" }],
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [less, { removed: "policy:Statement[]" }],
    [
      noneLeft,
      {
        removed:
          "policy:Statement[].Principal policy:Statement[].Principal.AWS policy:Statement[].Principal.AWS[]",
      },
    ],
    [
      "a wildcard within a principal's ARN is no pattern: AWS refuses it",
      { widened: "policy:Statement[].Principal.AWS[]" },
    ],
    [
      "a policy of an API is about this API, whatever its resource says",
      { widened: "policy:Statement[].Resource" },
    ],
  ),
  ...of(
    "aws:apigateway/stage:Stage",
    [refused, { removed: "deployment restApi" }],
    [
      "what a rule does not ask for in an access log",
      {
        removed:
          "accessLogSettings.format:bytesIn accessLogSettings.format:latencyMs accessLogSettings.format:validation " +
          "accessLogSettings.format:error",
      },
    ],
    [ownTag, { removed: "tags.pipeline" }],
    ["requests fail, which the alarm on 5XXError tells", { removed: "variables variables.stream" }],
  ),
  ...of(
    "aws:budgets/budget:Budget",
    [
      refused,
      {
        removed:
          "budgetType limitUnit costFilters[] costFilters[].name costFilters[].values costFilters[].values[] " +
          "notifications[].comparisonOperator notifications[].notificationType",
      },
    ],
    [named, { removed: "name" }],
    ["the budget is then on all of the account's costs, and tells sooner", { removed: "costFilters" }],
    ["another notification is left: a rule asks for one in time", { removed: "notifications[]" }],
    ["percent is the default", { removed: "notifications[].thresholdType" }],
    ["the cost filter finds budgets by their name", { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:cloudformation/stack:Stack",
    [named, { removed: "name" }],
    ["ROLLBACK is the default", { removed: "onFailure" }],
    [ownTag, { removed: "tags.pipeline" }],
    [
      refused,
      {
        removed:
          "templateBody templateBody:Resources templateBody:Resources.*.Type templateBody:Resources.*.Properties.Name " +
          "templateBody:Resources.Dataset.Properties templateBody:Resources.Recipe.Properties " +
          "templateBody:Resources.Dataset.Properties.Input templateBody:Resources.Dataset.Properties.Input.** " +
          "templateBody:Resources.Recipe.Properties.Steps templateBody:Resources.Job.Properties.Type " +
          "templateBody:Resources.Job.Properties.DatasetName templateBody:Resources.Job.Properties.Recipe " +
          "templateBody:Resources.Job.Properties.Recipe.** templateBody:Resources.Job.Properties.RoleArn " +
          "templateBody:Resources.Job.Properties.Outputs[].Location templateBody:Resources.Job.Properties.Outputs[].Location.Bucket",
        widened: "templateBody:Resources.Job.Properties.RoleArn",
      },
    ],
    ["2010-09-09 is the one version that there is", { removed: "templateBody:AWSTemplateFormatVersion" }],
    [text, { removed: "templateBody:Resources.Recipe.Properties.Description" }],
    [
      "the job has nothing to work on or writes nothing: the workflow's check of its output fails",
      {
        removed:
          "templateBody:Resources.Dataset templateBody:Resources.Recipe templateBody:Resources.Job " +
          "templateBody:Resources.Dataset.Properties.Format templateBody:Resources.Job.Properties.Outputs " +
          "templateBody:Resources.Job.Properties.Outputs[] templateBody:Resources.Job.Properties.Outputs[].Location.Key " +
          "templateBody:Resources.Job.Properties.Outputs[].Format " +
          "templateBody:Resources.Job.Properties.Outputs[].CompressionFormat " +
          "templateBody:Resources.Job.Properties.Outputs[].Overwrite",
        flipped: "templateBody:Resources.Job.Properties.Outputs[].Overwrite",
      },
    ],
    [
      "what the recipe does: its tests run each step, and the contract's checks judge the result",
      {
        removed:
          "templateBody:Resources.Recipe.Properties.Steps[] templateBody:Resources.Recipe.Properties.Steps[].**",
      },
    ],
    ["no retry is the default", { removed: "templateBody:Resources.Job.Properties.MaxRetries" }],
  ),
  ...of("aws:cloudwatch/dashboard:Dashboard", [
    text,
    {
      removed:
        "dashboardBody dashboardBody:widgets dashboardBody:widgets[] dashboardBody:widgets[].** dashboardName",
      "zero maximum":
        "dashboardBody:widgets[].x dashboardBody:widgets[].y dashboardBody:widgets[].width " +
        "dashboardBody:widgets[].height dashboardBody:widgets[].properties.period",
      widened: "dashboardBody:widgets[].properties.metrics[][]",
    },
  ]),
  ...of(
    "aws:cloudwatch/eventRule:EventRule",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [ownTag, { removed: "tags.pipeline" }],
    [
      "more events of the same source set it off: who is told hears more, and a run of the workflow finds nothing to do",
      {
        removed:
          "eventPattern:detail-type eventPattern:detail eventPattern:detail.bucket eventPattern:detail.bucket.name " +
          "eventPattern:detail.object eventPattern:detail.object.key eventPattern:detail.jobName " +
          "eventPattern:detail.statementName eventPattern:detail.applicationId",
      },
    ],
    [
      "AWS refuses an empty list",
      {
        removed:
          "eventPattern:detail-type[] eventPattern:detail.bucket.name[] eventPattern:detail.object.key[] " +
          "eventPattern:detail.object.key[].prefix eventPattern:detail.statementName[] " +
          "eventPattern:detail.statementName[].prefix eventPattern:detail.applicationId[]",
      },
    ],
  ),
  ...of(
    "aws:cloudwatch/eventTarget:EventTarget",
    [refused, { removed: "arn rule" }],
    [
      "the target's start is refused: the event goes to the dead-letter queue, whose alarm tells",
      { removed: "roleArn" },
    ],
  ),
  ...of(
    "aws:cloudwatch/logGroup:LogGroup",
    [named, { removed: "name" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:cloudwatch/logMetricFilter:LogMetricFilter",
    [
      refused,
      {
        removed:
          "logGroupName pattern metricTransformation metricTransformation.name metricTransformation.namespace " +
          "metricTransformation.value",
      },
    ],
    [named, { removed: "name" }],
  ),
  ...of(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    [text, { removed: "alarmDescription" }],
    [named, { removed: "name" }],
    [refused, { removed: "comparisonOperator namespace statistic metricQueries[].id" }],
    [
      "AWS refuses a query without returned data, or with a period that is not of its list",
      {
        "removed zero maximum": "metricQueries[].period",
        "removed flipped": "metricQueries[].returnData",
      },
    ],
    ["that it is well again is told by the alarm's state", { removed: "okActions okActions[]" }],
    [
      "missing data leaves the state as it is: a failure that is there still sets it off",
      { removed: "treatMissingData" },
    ],
    ["a threshold of 0 sets it off sooner", { zero: "threshold" }],
    [
      "all of the evaluated periods is the default, and where one is enough the alarm's test holds it; AWS refuses more or none",
      { "removed zero maximum": "datapointsToAlarm" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:dynamodb/table:Table",
    [refused, { removed: "attributes attributes[] attributes[].name attributes[].type hashKey rangeKey" }],
    [named, { removed: "name" }],
    [ownTag, { removed: "tags.pipeline" }],
    [asDefault, { removed: "pointInTimeRecovery.recoveryPeriodInDays" }],
    [
      "rows are kept longer: none is lost",
      { removed: "ttl ttl.attributeName ttl.enabled", flipped: "ttl.enabled" },
    ],
  ),
  ...of(
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    ["the provider takes every rule away that is not named", { removed: "egress ingress" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:ec2/flowLog:FlowLog",
    [refused, { removed: "iamRoleArn" }],
    ["CloudWatch is the default", { removed: "logDestinationType" }],
    ["AWS takes 60 or 600 seconds, 600 by default", { "removed zero maximum": "maxAggregationInterval" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of("aws:ec2/route:Route", [
    refused,
    { removed: "destinationCidrBlock routeTableId vpcPeeringConnectionId" },
  ]),
  ...of(
    "aws:ec2/securityGroup:SecurityGroup",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [
      "the group is then the default VPC's: what names it with subnets of another is refused",
      { removed: "vpcId" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    [refused, { removed: "serviceName vpcId policy:Statement[].Resource policy:Statement[].Principal" }],
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [less, { removed: "policy:Statement[].Action[] policy:Statement[].Resource[]" }],
    [
      "the endpoint lets the account's own callers through to more: their roles say what they may do there",
      { widened: "policy:Statement[].Resource[]" },
    ],
    [
      "fewer ways in, or a type that the service has no endpoint of: calls fail, since there is no other way out",
      { removed: "subnetIds[] vpcEndpointType routeTableIds routeTableIds[]" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
    [refused, { removed: "peerVpcId vpcId" }],
    ["somebody must accept it by hand: it connects nothing until then", { "removed flipped": "autoAccept" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:emrserverless/application:Application",
    [refused, { removed: "type" }],
    [named, { removed: "name" }],
    ["x86 is the default: the job's archive is of the other, and the job fails", { removed: "architecture" }],
    [
      "on is the default; off, a job that is submitted fails",
      { removed: "autoStartConfiguration", "removed flipped": "autoStartConfiguration.enabled" },
    ],
    ["off is the default", { removed: "interactiveConfiguration.livyEndpointEnabled" }],
    ["two zones are left, as a rule asks", { removed: "networkConfiguration.subnetIds[]" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:glue/catalogDatabase:CatalogDatabase",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    ["tables have locations of their own", { removed: "locationUri" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of("aws:glue/catalogTable:CatalogTable", [
    "how a query reads the table: tests of the catalog hold it, and the key and the bucket protect it",
    {
      removed:
        "databaseName description name parameters parameters.* partitionKeys partitionKeys[] partitionKeys[].* " +
        "storageDescriptor storageDescriptor.** tableType",
    },
  ]),
  ...of(
    "aws:glue/connection:Connection",
    [
      refused,
      { removed: "connectionProperties.JDBC_CONNECTION_URL physicalConnectionRequirements.availabilityZone" },
    ],
    [named, { removed: "name" }],
    ["JDBC is the default", { removed: "connectionType" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of("aws:glue/dataCatalogEncryptionSettings:DataCatalogEncryptionSettings", [
    "AWS refuses SSE-KMS-WITH-SERVICE-ROLE without the role",
    { removed: "dataCatalogEncryptionSettings.encryptionAtRest.catalogEncryptionServiceRole" },
  ]),
  ...of(
    "aws:glue/job:Job",
    [text, { removed: "description" }],
    [refused, { removed: "command command.scriptLocation roleArn" }],
    [
      "Spark and Python 3 of the job's version of Glue are the defaults",
      { removed: "command.name command.pythonVersion" },
    ],
    [
      "what the job reads and writes: without, it fails at once, which the rule on its failures tells; its tests run it",
      {
        removed:
          "defaultArguments.--artifacts defaultArguments.--additional-python-modules defaultArguments.--conf " +
          "defaultArguments.--contracts defaultArguments.--curated defaultArguments.--curated-db " +
          "defaultArguments.--datalake-formats defaultArguments.--disable-proxy-v2 " +
          "defaultArguments.--enable-glue-datacatalog defaultArguments.--extra-py-files " +
          "defaultArguments.--geo-database defaultArguments.--landing defaultArguments.--mysql-secret " +
          "defaultArguments.--mysql-url defaultArguments.--python-modules-installer-option " +
          "defaultArguments.--quarantine defaultArguments.--quarantine-db defaultArguments.--staging " +
          "defaultArguments.--staging-db defaultArguments.--stream-arn",
      },
    ],
    [
      "where it keeps what passes: Glue's own bucket, which the job's role may not write, so that it fails",
      { removed: "defaultArguments.--TempDir defaultArguments.--checkpoint" },
    ],
    ["off is the default, as here", { removed: "defaultArguments.--job-bookmark-option" }],
    [
      "the job has all of its workers from the start, up to the rule's bound",
      { removed: "defaultArguments.--enable-auto-scaling" },
    ],
    [
      "figures for people beside the log and the metrics that rules ask for",
      {
        removed:
          "defaultArguments.--enable-observability-metrics defaultArguments.--enable-spark-ui " +
          "defaultArguments.--spark-event-logs-path",
      },
    ],
    [
      "STANDARD and one run at a time are the defaults",
      { removed: "executionClass executionProperty executionProperty.maxConcurrentRuns" },
    ],
    ["AWS chooses the hour in which it restarts a stream", { removed: "maintenanceWindow" }],
    [
      "that it is slow is told later; its timeout ends it, which a rule asks for",
      { removed: "notificationProperty", "removed zero maximum": "notificationProperty.notifyDelayAfter" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of("aws:glue/partitionIndex:PartitionIndex", [
    "how fast a query finds its partitions",
    {
      removed:
        "databaseName partitionIndex partitionIndex.indexName partitionIndex.keys partitionIndex.keys[] tableName",
    },
  ]),
  ...of("aws:glue/securityConfiguration:SecurityConfiguration", [named, { removed: "name" }]),
  ...of(
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    [refused, { removed: "url" }],
    ["no audience is left: nobody's token is taken", { removed: "clientIdLists clientIdLists[]" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:iam/policy:Policy",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [refused, { removed: "policy policy:Statement[].Resource" }],
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [
      less,
      {
        removed:
          "policy:Statement[] policy:Statement[].Action[] policy:Statement[].Resource[] " +
          "policy:Statement[].Condition.StringEquals.iam:PassedToService[]",
      },
    ],
    [
      "log groups of the account's other stacks: CI may set how long they are kept, and reads nothing of them",
      { widened: "policy:Statement[].Resource[]" },
    ],
    [
      "a resource may be made without the tag by which the same role may then change it: it can do no more with it",
      {
        removed:
          "policy:Statement[].Condition policy:Statement[].Condition.StringEquals " +
          "policy:Statement[].Condition.StringEquals.aws:RequestTag/pipeline",
      },
    ],
    [
      "buckets are named with the stack's account, and a bucket of that name in another is not the stack's to make",
      {
        removed:
          "policy:Statement[].Condition policy:Statement[].Condition.StringEqualsIfExists " +
          "policy:Statement[].Condition.StringEqualsIfExists.aws:ResourceAccount",
      },
    ],
    [
      "grants are still for services alone, on keys of the account",
      {
        removed:
          "policy:Statement[].Condition.StringEquals policy:Statement[].Condition.StringEquals.aws:ResourceTag/pipeline",
      },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:iam/role:Role",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [language, { removed: "assumeRolePolicy:Version" }],
    [sid, statements("assumeRolePolicy")],
    [
      noneLeft,
      {
        removed:
          "assumeRolePolicy:Statement[] assumeRolePolicy:Statement[].Principal assumeRolePolicy:Statement[].Principal.Service " +
          "assumeRolePolicy:Statement[].Principal.Service[] assumeRolePolicy:Statement[].Principal.AWS " +
          "assumeRolePolicy:Statement[].Principal.AWS[] assumeRolePolicy:Statement[].Principal.Federated",
      },
    ],
    [
      "a wildcard within a principal's ARN is no pattern: AWS refuses it",
      {
        widened:
          "assumeRolePolicy:Statement[].Principal.AWS[] assumeRolePolicy:Statement[].Principal.Federated",
      },
    ],
    [
      "an hour is the default; AWS refuses more than twelve, or none",
      { "removed zero maximum": "maxSessionDuration" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:iam/rolePolicy:RolePolicy",
    [named, { removed: "name" }],
    [refused, { removed: "policy role policy:Statement[].Resource" }],
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [
      less,
      {
        removed:
          "policy:Statement[] policy:Statement[].Action[] policy:Statement[].Resource[] " +
          "policy:Statement[].Condition.StringEquals.kms:ViaService[] policy:Statement[].Condition.StringLike.s3:prefix[]",
      },
    ],
    [
      "log groups of the account by a prefix of AWS's: writing to another's log tells it more",
      { widened: "policy:Statement[].Resource policy:Statement[].Resource[]" },
    ],
    [
      "another condition of the statement holds the key's use to one encryption context, or to the account's machines",
      {
        removed: "policy:Statement[].Condition.StringEquals.kms:ViaService",
        widened: "policy:Statement[].Condition.StringEquals.kms:EncryptionContext:aws:states:stateMachineArn",
      },
    ],
    [
      "other tags on network interfaces of the VPC's own subnets, which give nothing",
      {
        removed:
          "policy:Statement[].Condition policy:Statement[].Condition.ForAllValues:StringEquals " +
          "policy:Statement[].Condition.ForAllValues:StringEquals.aws:TagKeys",
      },
    ],
    [
      "the condition of a denial: without, more is denied",
      {
        removed:
          "policy:Statement[].Condition policy:Statement[].Condition.ArnEquals policy:Statement[].Condition.ArnEquals.lambda:SourceFunctionArn",
        widened: "policy:Statement[].Condition.ArnEquals.lambda:SourceFunctionArn",
      },
    ],
  ),
  ...of("aws:iam/rolePolicyAttachment:RolePolicyAttachment", [refused, { removed: "policyArn role" }]),
  ...of(
    "aws:kinesis/stream:Stream",
    [named, { removed: "name" }],
    ["PROVISIONED is the default", { removed: "streamModeDetails streamModeDetails.streamMode" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of("aws:kms/alias:Alias", [named, { removed: "name" }], [refused, { removed: "targetKeyId" }]),
  ...of(
    "aws:kms/key:Key",
    [text, { removed: "description" }],
    [asDefault, { removed: "deletionWindowInDays rotationPeriodInDays" }],
    [
      "AWS's default policy leaves the key to the account's IAM, whose rules hold each use",
      { removed: "policy" },
    ],
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [refused, { removed: "policy:Statement[].Resource" }],
    [
      less,
      {
        removed:
          "policy:Statement[] policy:Statement[].Action[] policy:Statement[].Condition.StringEquals.kms:ViaService[] " +
          "policy:Statement[].Principal.Service[]",
      },
    ],
    [
      noneLeft,
      {
        removed:
          "policy:Statement[].Principal policy:Statement[].Principal.Service policy:Statement[].Principal.AWS",
      },
    ],
    [
      "a wildcard within a principal's ARN is no pattern: AWS refuses it",
      { widened: "policy:Statement[].Principal.AWS" },
    ],
    [
      "another condition of the statement holds: the service, or the account",
      {
        removed:
          "policy:Statement[].Condition.StringEquals policy:Statement[].Condition.StringEquals.kms:CallerAccount " +
          "policy:Statement[].Condition.StringEquals.kms:ViaService policy:Statement[].Condition.StringEquals.aws:SourceAccount " +
          "policy:Statement[].Condition.ArnLike policy:Statement[].Condition.ArnLike.aws:SourceArn",
      },
    ],
    [
      "every queue, topic or log group of the account: the service encrypts with the key for no other account",
      {
        widened:
          "policy:Statement[].Condition.ArnLike.kms:EncryptionContext:aws:sqs:arn " +
          "policy:Statement[].Condition.ArnLike.kms:EncryptionContext:aws:logs:arn " +
          "policy:Statement[].Condition.ArnLike.kms:EncryptionContext:aws:sns:topicArn",
      },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:lambda/eventSourceMapping:EventSourceMapping",
    [refused, { removed: "eventSourceArn functionName startingPosition" }],
    [
      "how many records a call gets: AWS has defaults, and refuses none or more than the source gives",
      { "removed zero maximum": "batchSize maximumBatchingWindowInSeconds" },
    ],
    [
      "the other of two ways to take one bad record out of a batch is left, which a rule asks for",
      {
        "removed flipped": "bisectBatchOnFunctionError",
        removed: "functionResponseTypes functionResponseTypes[]",
      },
    ],
    [
      "no retry is within the rule's bounds: the batch goes to its destination at once",
      { zero: "maximumRetryAttempts" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:lambda/function:Function",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [refused, { removed: "code code.archive code.archive.sha256 handler role" }],
    ["x86 is the default, on which the code runs too", { removed: "architectures architectures[]" }],
    [
      breaks,
      {
        removed:
          "environment environment.variables environment.variables.* environment.variables.DYNAMODB_TABLE_ARNS:orders layers layers[]",
        widened: "environment.variables.DYNAMODB_TABLE_ARNS:orders",
      },
    ],
    [
      "the group of AWS's name is the declared one; its lines are text in place of JSON",
      { removed: "loggingConfig loggingConfig.logFormat loggingConfig.logGroup" },
    ],
    ["two zones are left, as a rule asks", { removed: "vpcConfig.subnetIds[]" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    [refused, { removed: "functionName" }],
    [
      "no retry is within the rule's bounds: the event goes to its destination at once",
      { zero: "maximumRetryAttempts" },
    ],
  ),
  ...of("aws:lambda/invocation:Invocation", [
    "what a deployment calls with: without, the call fails and the deployment with it, or is made again later",
    {
      removed: "input input:** triggers triggers.*",
      flipped: "input:start input:restart",
      widened: "input:secretArn",
    },
  ]),
  ...of("aws:lambda/permission:Permission", [refused, { removed: "function" }]),
  ...of(
    "aws:redshiftserverless/namespace:Namespace",
    [refused, { removed: "namespaceName" }],
    [
      "COPY has no role, so that a load fails, which the workflow tells",
      { removed: "defaultIamRoleArn iamRoles iamRoles[]" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of("aws:redshiftserverless/usageLimit:UsageLimit", ["monthly is the default", { removed: "period" }]),
  ...of(
    "aws:redshiftserverless/workgroup:Workgroup",
    [refused, { removed: "namespaceName" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:s3/bucket:Bucket",
    [named, { removed: "bucket" }],
    ["off is the default", { removed: "forceDestroy" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    [refused, { removed: "rules[].filter rules[].filter.prefix rules[].id" }],
    [
      "objects are kept longer: none is lost",
      { removed: "rules[].expiration", "removed maximum": "rules[].expiration.days" },
    ],
  ),
  ...of("aws:s3/bucketLogging:BucketLogging", [
    "logs lie in one folder of the same bucket",
    { removed: "targetObjectKeyFormat targetObjectKeyFormat.** targetPrefix" },
  ]),
  ...of(
    "aws:s3/bucketNotification:BucketNotification",
    [refused, { removed: "bucket" }],
    ["a file starts no run: the schedule's takes it", { "removed flipped": "eventbridge" }],
  ),
  ...of(
    "aws:s3/bucketObjectv2:BucketObjectv2",
    [refused, { removed: "bucket key" }],
    [
      "what reads the object finds it empty and fails",
      { removed: "source source.asset source.asset.sha256" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:s3/bucketPolicy:BucketPolicy",
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [refused, { removed: "policy:Statement[].Resource" }],
    ["less is allowed: access logs of a bucket are not delivered", { removed: "policy:Statement[]" }],
    [noneLeft, { removed: "policy:Statement[].Principal policy:Statement[].Principal.Service" }],
    [
      "the condition of a denial: without, more is denied",
      {
        removed:
          "policy:Statement[].Condition.Null policy:Statement[].Condition.Null.s3:x-amz-server-side-encryption-aws-kms-key-id",
      },
    ],
    [
      "of the account and the bucket that S3 delivers logs for, the other is left",
      {
        removed:
          "policy:Statement[].Condition.StringEquals policy:Statement[].Condition.StringEquals.aws:SourceAccount " +
          "policy:Statement[].Condition.ArnLike policy:Statement[].Condition.ArnLike.aws:SourceArn",
        widened: "policy:Statement[].Condition.ArnLike.aws:SourceArn",
      },
    ],
  ),
  ...of(
    "aws:scheduler/schedule:Schedule",
    [text, { removed: "description" }],
    [named, { removed: "name" }],
    [
      refused,
      { removed: "flexibleTimeWindow flexibleTimeWindow.mode scheduleExpression target.arn target.roleArn" },
    ],
    ["the default group, a role for which nobody has", { removed: "groupName" }],
    ["UTC and ENABLED are the defaults", { removed: "scheduleExpressionTimezone state" }],
    [breaks, { removed: "target.input target.input:*", flipped: "target.input:start target.input:restart" }],
  ),
  ...of(
    "aws:scheduler/scheduleGroup:ScheduleGroup",
    [named, { removed: "name" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:sfn/stateMachine:StateMachine",
    [named, { removed: "name" }],
    [refused, { removed: "roleArn" }],
    ["STANDARD is the default", { removed: "type" }],
    [
      "300 seconds are the default; AWS refuses less than 60 or more than 900",
      { "removed zero maximum": "encryptionConfiguration.kmsDataKeyReusePeriodSeconds" },
    ],
    [ownTag, { removed: "tags.pipeline" }],
    [text, { removed: "definition:Comment definition:States.*.Comment" }],
    [
      noFlow,
      {
        removed:
          "definition:StartAt definition:States.* definition:States.*.Type definition:States.*.Next definition:States.*.Resource " +
          "definition:States.*.Choices definition:States.*.Choices[] definition:States.*.Choices[].Condition " +
          "definition:States.*.Choices[].Next definition:States.*.Catch[].Next definition:States.*.Retry[].ErrorEquals " +
          "definition:States.*.Retry[].ErrorEquals[] definition:States.*.Branches definition:States.*.Branches[] " +
          "definition:States.*.ItemProcessor definition:**.StartAt definition:**.States definition:**.States.*.Type " +
          "definition:**.States.*.Next definition:**.States.*.End definition:**.States.*.Resource " +
          "definition:**.States.*.Choices definition:**.States.*.Choices[] definition:**.States.*.Choices[].Condition " +
          "definition:**.States.*.Choices[].Next definition:**.States.*.Catch[].Next definition:**.States.*.Retry[].ErrorEquals " +
          "definition:**.States.*.Retry[].ErrorEquals[] definition:**[].States.* definition:**Processor.States.*",
        flipped: "definition:**.States.*.End",
        widened: "definition:States.*.Resource definition:**.States.*.Resource",
      },
    ],
    [
      "JSONPath is the default, in which nothing of this definition is valid: AWS refuses it",
      { removed: "definition:QueryLanguage" },
    ],
    [
      "without a match the execution fails, which its alarm tells",
      { removed: "definition:States.*.Default definition:**.States.*.Default" },
    ],
    [
      "one kind of error is tried again less: another retrier is left, which a rule asks for",
      {
        removed: "definition:States.*.Retry[] definition:**.States.*.Retry[]",
        zero: "definition:States.*.Retry[].MaxAttempts definition:**.States.*.Retry[].MaxAttempts",
      },
    ],
    [
      "AWS's default is within the rule's bounds",
      {
        removed:
          "definition:States.*.Retry[].BackoffRate definition:States.*.Retry[].IntervalSeconds " +
          "definition:States.*.Retry[].JitterStrategy definition:States.*.Retry[].MaxAttempts " +
          "definition:States.*.Retry[].MaxDelaySeconds definition:**.States.*.Retry[].BackoffRate " +
          "definition:**.States.*.Retry[].IntervalSeconds definition:**.States.*.Retry[].JitterStrategy " +
          "definition:**.States.*.Retry[].MaxAttempts definition:**.States.*.Retry[].MaxDelaySeconds " +
          "definition:**.ProcessorConfig definition:**.ProcessorConfig.Mode",
      },
    ],
    [
      "the call fails for want of an argument, or for a right that the machine's role has by name alone",
      {
        removed:
          "definition:States.*.Arguments definition:States.*.Arguments.ApplicationId " +
          "definition:States.*.Arguments.Arguments definition:States.*.Arguments.ClientToken " +
          "definition:States.*.Arguments.ExecutionRoleArn definition:States.*.Arguments.FunctionName " +
          "definition:States.*.Arguments.Input definition:States.*.Arguments.JobDriver " +
          "definition:States.*.Arguments.JobName definition:States.*.Arguments.Name " +
          "definition:States.*.Arguments.Payload definition:States.*.Arguments.StateMachineArn " +
          "definition:States.*.Arguments.Arguments.--batch-id " +
          "definition:States.*.Arguments.Arguments.--plan definition:States.*.Arguments.Payload.** " +
          "definition:States.*.Arguments.JobDriver.** definition:**.States.*.Arguments " +
          "definition:States.*.ItemProcessor.States.*.Arguments.ClientToken " +
          "definition:States.*.ItemProcessor.States.*.Arguments.Database " +
          "definition:States.*.ItemProcessor.States.*.Arguments.ExportArn " +
          "definition:States.*.ItemProcessor.States.*.Arguments.ExportFormat " +
          "definition:States.*.ItemProcessor.States.*.Arguments.ExportTime " +
          "definition:States.*.ItemProcessor.States.*.Arguments.ExportType " +
          "definition:States.*.ItemProcessor.States.*.Arguments.Id " +
          "definition:States.*.ItemProcessor.States.*.Arguments.IncrementalExportSpecification " +
          "definition:States.*.ItemProcessor.States.*.Arguments.Name " +
          "definition:States.*.ItemProcessor.States.*.Arguments.S3Bucket " +
          "definition:States.*.ItemProcessor.States.*.Arguments.S3Prefix " +
          "definition:States.*.ItemProcessor.States.*.Arguments.Sqls " +
          "definition:States.*.ItemProcessor.States.*.Arguments.StatementName " +
          "definition:States.*.ItemProcessor.States.*.Arguments.TableArn " +
          "definition:States.*.ItemProcessor.States.*.Arguments.WithEvent " +
          "definition:States.*.ItemProcessor.States.*.Arguments.WorkgroupName " +
          "definition:States.*.ItemProcessor.States.*.Arguments.IncrementalExportSpecification.* " +
          "definition:States.*.Branches[].States.*.Arguments.Arguments " +
          "definition:States.*.Branches[].States.*.Arguments.JobName " +
          "definition:States.*.Branches[].States.*.Arguments.Arguments.--batch-id " +
          "definition:States.*.Branches[].States.*.Arguments.Arguments.--plan",
        widened:
          "definition:States.*.Arguments.FunctionName definition:States.*.Arguments.ExecutionRoleArn " +
          "definition:States.*.Arguments.JobDriver.**",
      },
    ],
    [
      "a load's failure is told by the workflow alone, not by the statement too",
      { flipped: "definition:**.States.*.Arguments.WithEvent" },
    ],
    [
      "the disks' key is used without a context, by the job's own role",
      {
        removed:
          "definition:States.*.Arguments.ConfigurationOverrides.DiskEncryptionConfiguration.EncryptionContext definition:States.*.Arguments.ConfigurationOverrides.DiskEncryptionConfiguration.EncryptionContext.*",
      },
    ],
    [
      "the job's own timeout ends it, or its state's, which a test of the definition holds to be the longer one",
      { "removed zero maximum": "definition:States.*.Arguments.Timeout" },
    ],
    [
      "AWS refuses no wait at all, and the machine's timeout ends a longer one",
      { "removed zero maximum": "definition:**.States.*.Seconds" },
    ],
    [
      flow,
      {
        removed:
          "definition:States.*.Assign definition:States.*.Assign.* definition:States.*.Catch[].Assign " +
          "definition:States.*.Catch[].Assign.** definition:States.*.Choices[].Assign definition:States.*.Choices[].Assign.** " +
          "definition:States.*.Catch[].Output definition:States.*.Output " +
          "definition:States.*.Cause definition:States.*.Error definition:States.*.Items definition:States.*.ItemSelector " +
          "definition:States.*.ItemSelector.* definition:**.States.*.Assign definition:**.States.*.Assign.* " +
          "definition:**.States.*.Catch[].Assign definition:**.States.*.Catch[].Assign.** " +
          "definition:**.States.*.Choices[].Assign definition:**.States.*.Choices[].Assign.** " +
          "definition:**.States.*.Choices[].Output definition:**.States.*.Output definition:**.States.*.Cause " +
          "definition:**.States.*.Error",
        flipped: "definition:States.*.Assign.* definition:States.*.Catch[].Assign.*",
      },
    ],
  ),
  ...of("aws:sns/topic:Topic", [named, { removed: "name" }], [ownTag, { removed: "tags.pipeline" }]),
  ...of(
    "aws:sns/topicPolicy:TopicPolicy",
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [refused, { removed: "policy:Statement[].Resource" }],
    [less, { removed: "policy:Statement[] policy:Statement[].Principal.Service[]" }],
    [noneLeft, { removed: "policy:Statement[].Principal policy:Statement[].Principal.Service" }],
    [
      "a topic's policy is about this topic, whatever its resource says",
      { widened: "policy:Statement[].Resource" },
    ],
  ),
  ...of("aws:sns/topicSubscription:TopicSubscription", [refused, { removed: "endpoint protocol topic" }]),
  ...of(
    "aws:sqs/queue:Queue",
    [named, { removed: "name" }],
    [asDefault, { removed: "kmsDataKeyReusePeriodSeconds" }],
    [ownTag, { removed: "tags.pipeline" }],
  ),
  ...of(
    "aws:sqs/queuePolicy:QueuePolicy",
    [language, { removed: "policy:Version" }],
    [sid, statements("policy")],
    [refused, { removed: "policy:Statement[].Resource" }],
    [less, { removed: "policy:Statement[]" }],
    [noneLeft, { removed: "policy:Statement[].Principal policy:Statement[].Principal.Service" }],
    [
      "a queue's policy is about this queue, whatever its resource says",
      { widened: "policy:Statement[].Resource" },
    ],
  ),
  ...["Egress", "Ingress"].flatMap((direction) =>
    of(
      `aws:vpc/securityGroup${direction}Rule:SecurityGroup${direction}Rule`,
      [text, { removed: "description" }],
      [
        refused,
        {
          removed: `ipProtocol securityGroupId referencedSecurityGroupId${direction === "Egress" ? " prefixListId cidrIpv4" : ""}`,
          maximum: "fromPort",
          zero: "toPort",
        },
      ],
      [ownTag, { removed: "tags.pipeline" }],
    ),
  ),
  ...of(
    "awsx:ec2:Vpc",
    [
      "10.0.0.0/16 and subnets of all of it are the defaults: private ones, as a rule asks",
      { removed: "cidrBlock subnetSpecs[].name subnetStrategy" },
    ],
    ["on is the default", { removed: "enableDnsSupport" }],
    [
      "three zones are the default; with fewer than its users' rules ask for, they are refused",
      { "removed zero maximum": "numberOfAvailabilityZones" },
    ],
  ),
];

const escaped = (text: string): string => text.replace(/[.+^${}()|[\]\\]/g, "\\$&");

/** A pattern of properties: `*` is one name, `**` any rest. */
const expressionOf = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split("**")
      .map((part) => escaped(part).replaceAll("*", "[^.]*"))
      .join(".*")}$`,
  );

const byType = new Map<string, { readonly explanation: Explanation; readonly expression: RegExp }[]>();
for (const explanation of explanations) {
  const entry = { explanation, expression: expressionOf(explanation.property) };
  const same = byType.get(explanation.type);
  if (same) same.push(entry);
  else byType.set(explanation.type, [entry]);
}

/** Explanations that fit a survivor, the first of which is told. */
export const explanationsOf = ({ type, property, kind }: BlindMutant): readonly Explanation[] =>
  (byType.get(type) ?? []).flatMap(({ explanation, expression }) =>
    explanation.kind === kind && expression.test(property) ? [explanation] : [],
  );

/** Survivors that nothing explains, and explanations that fit no survivor. */
export function gaps(survivors: readonly BlindMutant[]): {
  readonly unexplained: readonly BlindMutant[];
  readonly stale: readonly Explanation[];
} {
  const used = new Set(survivors.flatMap(explanationsOf));
  return {
    unexplained: survivors.filter((survivor) => explanationsOf(survivor).length === 0),
    stale: explanations.filter((explanation) => !used.has(explanation)),
  };
}
