import { isRecord } from "../reader.ts";
import type { Resource } from "../rule.ts";
import { removed } from "./mutation.ts";

type Inputs = Resource["inputs"];

/** How one rule is to be broken, at every resource of a type (that `only` picks). */
export interface Case {
  readonly rule: string;
  readonly type: string;
  readonly only?: (resource: Resource) => boolean;
  /** Property that changes; none where the resource itself is taken away. */
  readonly at?: string;
  /** Values that the rule must find. */
  readonly bad: readonly unknown[];
  /** Values that it must let pass: the bounds among them. */
  readonly good?: readonly unknown[];
}

const at = (
  rule: string,
  type: string,
  path: string,
  bad: readonly unknown[],
  good: readonly unknown[] = [],
  only?: Case["only"],
): Case => ({ rule, type, at: path, bad, good, ...(only && { only }) });

/** The rule finds that every resource of the type is gone. */
const gone = (rule: string, type: string, only?: Case["only"]): Case => ({
  rule,
  type,
  bad: [removed],
  ...(only && { only }),
});

/** A document that is changed as text or as an object, in place. */
const edited =
  (edit: (document: Record<string, unknown>) => unknown) =>
  (value: unknown): unknown =>
    JSON.stringify(edit(JSON.parse(String(value)) as Record<string, unknown>));

/** Marks a bad or good value that is made of the one that is there. */
export class From {
  readonly make: (value: unknown) => unknown;
  readonly name: string;

  constructor(name: string, make: (value: unknown) => unknown) {
    this.name = name;
    this.make = make;
  }
}

const statements = (name: string, edit: (statements: Record<string, unknown>[]) => unknown): From =>
  new From(
    name,
    edited((document) => ({
      ...document,
      Statement: edit([document.Statement].flat() as Record<string, unknown>[]),
    })),
  );

/** Every Task of a definition changed. */
const tasks = (name: string, edit: (state: Record<string, unknown>) => Record<string, unknown>): From => {
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (!isRecord(value)) return value;
    const inner = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item)]));
    return inner.Type === "Task" && typeof inner.Resource === "string" ? edit(inner) : inner;
  };
  return new From(name, edited(walk));
};

/** Every state of a type changed. */
const states = (type: string, name: string, edit: (state: Record<string, unknown>) => unknown): From => {
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (!isRecord(value)) return value;
    const inner = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item)]));
    return inner.Type === type ? edit(inner) : inner;
  };
  return new From(name, edited(walk));
};

/** What Tasks that call an action give it, changed. */
const calling = (
  action: string,
  name: string,
  edit: (given: Record<string, unknown>) => Record<string, unknown>,
): From =>
  tasks(name, (state) =>
    String(state.Resource).includes(action) && isRecord(state.Arguments)
      ? { ...state, Arguments: edit({ ...state.Arguments }) }
      : state,
  );

/** Every retrier changed. */
const retriers = (name: string, field: string, value: unknown): From =>
  tasks(name, (state) => ({
    ...state,
    Retry: [state.Retry].flat().map((each) => (isRecord(each) ? { ...each, [field]: value } : each)),
  }));

/** The properties of a templated DataBrew job changed. */
const recipeJob = (name: string, edit: (job: Record<string, unknown>) => Record<string, unknown>): From =>
  new From(
    name,
    edited((template) => ({
      ...template,
      Resources: Object.fromEntries(
        Object.entries(isRecord(template.Resources) ? template.Resources : {}).map(([key, each]) => [
          key,
          isRecord(each) && isRecord(each.Properties)
            ? { ...each, Properties: edit({ ...each.Properties }) }
            : each,
        ]),
      ),
    })),
  );

/** A JSON schema changed. */
const schema = (name: string, edit: (schema: Record<string, unknown>) => unknown): From =>
  new From(name, edited(edit));

const omit = (object: Record<string, unknown>, ...names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(object).filter(([key]) => !names.includes(key)));

const has =
  (property: string): Case["only"] =>
  ({ inputs }) =>
    inputs[property] !== undefined;

const isInterface: Case["only"] = ({ inputs }) => inputs.vpcEndpointType === "Interface";
const isExtra: Case["only"] = ({ name }) => name === "extra";
const isLogs: Case["only"] = ({ name }) => name.endsWith("-logs");
const isNotLogs: Case["only"] = ({ name }) => !name.endsWith("-logs");
const isJdbc: Case["only"] = ({ inputs }) => inputs.connectionType === "JDBC";
const isBatchJob: Case["only"] = ({ inputs }) =>
  isRecord(inputs.command) && inputs.command.name === "glueetl";
const isRecipeJob: Case["only"] = ({ inputs }) => String(inputs.templateBody).includes("AWS::DataBrew::Job");
const isPattern: Case["only"] = ({ inputs }) => inputs.eventPattern !== undefined;
const isAcross: Case["only"] = ({ inputs }) =>
  inputs.ipProtocol === "tcp" && inputs.securityGroupId !== inputs.referencedSecurityGroupId;
const ofFailures: Case["only"] = ({ inputs }) => inputs.metricName === "Errors";
const isStreamMapping: Case["only"] = ({ inputs }) => /:kinesis:/.test(String(inputs.eventSourceArn));

const bucket = "aws:s3/bucket:Bucket";
const bucketEncryption =
  "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration";
const bucketPolicy = "aws:s3/bucketPolicy:BucketPolicy";
const block = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock";
const lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration";
const object = "aws:s3/bucketObjectv2:BucketObjectv2";
const key = "aws:kms/key:Key";
const job = "aws:glue/job:Job";
const glueSecurity = "aws:glue/securityConfiguration:SecurityConfiguration";
const catalog = "aws:glue/dataCatalogEncryptionSettings:DataCatalogEncryptionSettings";
const connection = "aws:glue/connection:Connection";
const emr = "aws:emrserverless/application:Application";
const lambda = "aws:lambda/function:Function";
const invoke = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig";
const mapping = "aws:lambda/eventSourceMapping:EventSourceMapping";
const stream = "aws:kinesis/stream:Stream";
const machine = "aws:sfn/stateMachine:StateMachine";
const namespace = "aws:redshiftserverless/namespace:Namespace";
const workgroup = "aws:redshiftserverless/workgroup:Workgroup";
const usageLimit = "aws:redshiftserverless/usageLimit:UsageLimit";
const table = "aws:dynamodb/table:Table";
const rds = "aws:rds/instance:Instance";
const secret = "aws:secretsmanager/secret:Secret";
const rotation = "aws:secretsmanager/secretRotation:SecretRotation";
const topic = "aws:sns/topic:Topic";
const queue = "aws:sqs/queue:Queue";
const logGroup = "aws:cloudwatch/logGroup:LogGroup";
const alarm = "aws:cloudwatch/metricAlarm:MetricAlarm";
const target = "aws:cloudwatch/eventTarget:EventTarget";
const eventRule = "aws:cloudwatch/eventRule:EventRule";
const schedule = "aws:scheduler/schedule:Schedule";
const stage = "aws:apigateway/stage:Stage";
const methodSettings = "aws:apigateway/methodSettings:MethodSettings";
const method = "aws:apigateway/method:Method";
const endpoint = "aws:ec2/vpcEndpoint:VpcEndpoint";
const group = "aws:ec2/securityGroup:SecurityGroup";
const groupRule = "aws:ec2/securityGroupRule:SecurityGroupRule";
const ingress = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule";
const egress = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule";
const defaultGroup = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup";
const vpc = "awsx:ec2:Vpc";
const cloudformation = "aws:cloudformation/stack:Stack";
const budget = "aws:budgets/budget:Budget";
const api = "aws:apigateway/restApi:RestApi";
const model = "aws:apigateway/model:Model";

/** Schemas that leave open what a value may hold. */
const openSchemas: readonly object[] = [
  {},
  { description: "anything" },
  { type: [] },
  { type: "any" },
  { enum: [] },
  { maxLength: 8 },
  { properties: { y: { type: "null" } }, required: ["y"], additionalProperties: false },
  { type: "array" },
  { type: "array", items: {} },
  { type: "array", items: [{ type: "null" }] },
  { type: "array", items: { type: "object", properties: {} } },
  { type: ["array", "null"] },
  { type: ["object", "null"] },
  { type: ["string", "null"] },
  { type: ["string", "number"] },
  { type: "string", format: "date-time" },
  { anyOf: [] },
  { anyOf: [{ type: "object" }] },
  { anyOf: [{ type: "null" }, {}] },
  { oneOf: [{ type: "null" }, { type: "string" }] },
  { allOf: [{ type: "string" }, { minLength: 1 }] },
  { type: "string", anyOf: [{ minLength: 1 }] },
  { $ref: "https://example.com/schema.json" },
  { $ref: "#/not-judged/x" },
  { type: "object", allOf: [{ $ref: "#" }] },
];

/** One object with all of its values bounded. */
const closed = {
  type: "object",
  properties: { y: { type: "integer" } },
  required: ["y"],
  additionalProperties: false,
};

const closedSchemas: readonly object[] = [
  { enum: ["a", "b"] },
  { type: "string", enum: ["a"] },
  { type: ["string", "null"], maxLength: 8 },
  { type: "string", format: "date-time", maxLength: 64 },
  { type: ["number", "boolean", "integer", "null"] },
  { $ref: "#/definitions/short" },
  { $ref: "https://apigateway.amazonaws.com/restapis/abc/models/Address" },
  closed,
];

/** What a key reference must not be. */
const noKey = [removed, "", "alias/aws/s3", "arn:aws:kms:eu-central-1:444455556666:alias/aws/sns"];
const ownKey = ["arn:aws:kms:eu-central-1:444455556666:key/1", "alias/own"];
const notTrue = [false, removed, "yes"];
const open = ["0.0.0.0/0", "128.0.0.0/1"];

const withoutTls = statements("no denial", (all) => all.filter(({ Sid }) => Sid !== "TlsOnly"));
const narrowTls = statements("denial of another", (all) =>
  all.map((each) => (each.Sid === "TlsOnly" ? { ...each, Resource: "arn:aws:s3:::another/*" } : each)),
);
const allowTls = statements("denial turned", (all) =>
  all.map((each) => (each.Sid === "TlsOnly" ? { ...each, Effect: "Allow" } : each)),
);
const invertedTls = statements("denial inverted", (all) =>
  all.map((each) =>
    each.Sid === "TlsOnly" ? { ...each, Condition: { Bool: { "aws:SecureTransport": "true" } } } : each,
  ),
);

const emptyTls = statements("denial with an empty condition", (all) =>
  all.map((each) => (each.Sid === "TlsOnly" ? { ...each, Condition: { Bool: {} } } : each)),
);

export const cases: readonly Case[] = [
  // Encryption at rest
  at("s3-kms-encryption", bucketEncryption, "rules", [removed, [], "x"]),
  at(
    "s3-kms-encryption",
    bucketEncryption,
    "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
    ["AES256", removed, "none"],
    ["aws:kms:dsse"],
    isNotLogs,
  ),
  at(
    "s3-kms-encryption",
    bucketEncryption,
    "rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId",
    noKey,
    ownKey,
    isNotLogs,
  ),
  gone("s3-kms-encryption", bucketEncryption),
  at("s3-bucket-key", bucketEncryption, "rules[0].bucketKeyEnabled", notTrue, [true], isNotLogs),
  at(
    "s3-no-sse-c",
    bucketEncryption,
    "rules[0].blockedEncryptionTypes",
    [removed, [], ["NONE"], "SSE-C"],
    [["SSE-C"]],
  ),
  at("s3-object-encryption", object, "serverSideEncryption", ["AES256", removed], ["aws:kms:dsse"]),
  at("s3-object-encryption", object, "kmsKeyId", noKey, ownKey),
  at("kms-rotation", key, "enableKeyRotation", notTrue, [true]),
  at("kms-rotation", key, "rotationPeriodInDays", [0, 89, 366, 2560], [90, 365, removed]),
  at("kms-deletion-window", key, "deletionWindowInDays", [0, 7, 13, 31], [14, 30, removed]),
  at("kms-no-lockout", key, "bypassPolicyLockoutSafetyCheck", [true], [false, removed]),
  at("kms-no-lockout", key, "isEnabled", [false], [true]),
  at("kms-no-aws-managed-key", queue, "kmsMasterKeyId", ["alias/aws/sqs"], ["alias/own", removed]),
  at("kms-no-aws-managed-key", logGroup, "kmsKeyId", [
    "arn:aws:kms:eu-central-1:444455556666:alias/aws/logs",
  ]),
  at("glue-security-configuration", job, "securityConfiguration", [removed, "", "another"]),
  at("glue-security-configuration", "aws:glue/crawler:Crawler", "securityConfiguration", [removed]),
  at("glue-encrypts-s3", glueSecurity, "encryptionConfiguration.s3Encryption.s3EncryptionMode", [
    "DISABLED",
    "SSE-S3",
    removed,
  ]),
  at("glue-encrypts-s3", glueSecurity, "encryptionConfiguration.s3Encryption.kmsKeyArn", noKey, ownKey),
  at(
    "glue-encrypts-logs",
    glueSecurity,
    "encryptionConfiguration.cloudwatchEncryption.cloudwatchEncryptionMode",
    ["DISABLED", removed],
  ),
  at(
    "glue-encrypts-logs",
    glueSecurity,
    "encryptionConfiguration.cloudwatchEncryption.kmsKeyArn",
    noKey,
    ownKey,
  ),
  at(
    "glue-encrypts-bookmarks",
    glueSecurity,
    "encryptionConfiguration.jobBookmarksEncryption.jobBookmarksEncryptionMode",
    ["DISABLED", removed],
  ),
  at(
    "glue-encrypts-bookmarks",
    glueSecurity,
    "encryptionConfiguration.jobBookmarksEncryption.kmsKeyArn",
    noKey,
  ),
  gone("glue-catalog-encryption", catalog),
  at(
    "glue-catalog-encryption",
    catalog,
    "dataCatalogEncryptionSettings.encryptionAtRest.catalogEncryptionMode",
    ["DISABLED", removed],
    ["SSE-KMS-WITH-SERVICE-ROLE"],
  ),
  at(
    "glue-catalog-encryption",
    catalog,
    "dataCatalogEncryptionSettings.encryptionAtRest.sseAwsKmsKeyId",
    noKey,
  ),
  at(
    "glue-connection-passwords-encrypted",
    catalog,
    "dataCatalogEncryptionSettings.connectionPasswordEncryption.returnConnectionPasswordEncrypted",
    notTrue,
  ),
  at(
    "glue-connection-passwords-encrypted",
    catalog,
    "dataCatalogEncryptionSettings.connectionPasswordEncryption.awsKmsKeyId",
    noKey,
  ),
  at(
    "emr-serverless-log-encryption",
    emr,
    "monitoringConfiguration.cloudwatchLoggingConfiguration.encryptionKeyArn",
    noKey,
    ownKey,
  ),
  at("emr-serverless-log-encryption", emr, "monitoringConfiguration.s3MonitoringConfiguration", [
    { logUri: "s3://logs/" },
  ]),
  at(
    "emr-serverless-managed-logs-off",
    emr,
    "monitoringConfiguration.managedPersistenceMonitoringConfiguration.enabled",
    [true, removed],
    [false],
  ),
  at("lambda-environment-key", lambda, "kmsKeyArn", noKey, ownKey, has("environment")),
  at("kinesis-customer-key", stream, "encryptionType", ["NONE", removed]),
  at("kinesis-customer-key", stream, "kmsKeyId", [...noKey, "alias/aws/kinesis"], ownKey),
  at("sfn-customer-key", machine, "encryptionConfiguration", [removed, {}]),
  at("sfn-customer-key", machine, "encryptionConfiguration.type", ["AWS_OWNED_KEY"]),
  at("sfn-customer-key", machine, "encryptionConfiguration.kmsKeyId", noKey, ownKey),
  at("sfn-export-key", machine, "definition", [
    removed,
    ...["S3SseAlgorithm", "S3SseKmsKeyId"].map((field) =>
      calling("exportTableToPointInTime", `no ${field}`, (given) => omit(given, field)),
    ),
    calling("exportTableToPointInTime", "S3's own key", (given) => ({ ...given, S3SseAlgorithm: "AES256" })),
    calling("exportTableToPointInTime", "any key", (given) => ({
      ...given,
      S3SseKmsKeyId: "arn:aws:kms:eu:1:*",
    })),
    "x",
  ]),
  at("emr-serverless-disk-key", machine, "definition", [
    removed,
    calling("startJobRun", "no overrides", (given) => omit(given, "ConfigurationOverrides")),
    ...["", "alias/aws/ebs", "arn:aws:kms:eu:1:key/*", 7].map((EncryptionKeyArn) =>
      calling("startJobRun", `key ${EncryptionKeyArn}`, (given) => ({
        ...given,
        ConfigurationOverrides: { DiskEncryptionConfiguration: { EncryptionKeyArn } },
      })),
    ),
  ]),
  at(
    "databrew-job-key",
    cloudformation,
    "templateBody",
    [
      ...["EncryptionMode", "EncryptionKeyArn"].map((field) =>
        recipeJob(`no ${field}`, (job) => omit(job, field)),
      ),
      recipeJob("S3's own key", (job) => ({ ...job, EncryptionMode: "SSE-S3" })),
      recipeJob("AWS's key", (job) => ({ ...job, EncryptionKeyArn: "alias/aws/s3" })),
      recipeJob("any key", (job) => ({ ...job, EncryptionKeyArn: "arn:aws:kms:eu:1:key/*" })),
      "{",
    ],
    [
      removed,
      recipeJob("a key of the template", (job) => ({
        ...job,
        EncryptionKeyArn: { "Fn::GetAtt": ["Key", "Arn"] },
      })),
    ],
    isRecipeJob,
  ),
  at("redshift-customer-key", namespace, "kmsKeyId", [...noKey, "AWS_OWNED_KMS_KEY"], ownKey),
  at("redshift-admin-secret-key", namespace, "adminPasswordSecretKmsKeyId", noKey, ownKey),
  at("dynamodb-customer-key", table, "serverSideEncryption.enabled", notTrue),
  at("dynamodb-customer-key", table, "serverSideEncryption.kmsKeyArn", noKey, ownKey),
  at("rds-encrypted", rds, "storageEncrypted", notTrue, [true]),
  at("rds-encrypted", rds, "kmsKeyId", noKey, ownKey),
  at("secrets-customer-key", secret, "kmsKeyId", noKey, ownKey),
  at("sns-customer-key", topic, "kmsMasterKeyId", noKey, ownKey),
  at("sqs-customer-key", queue, "kmsMasterKeyId", noKey, ownKey),
  at("sqs-key-reuse", queue, "kmsDataKeyReusePeriodSeconds", [0, 59, 3601, 86_400], [60, 3600, removed]),
  at("logs-customer-key", logGroup, "kmsKeyId", noKey, ownKey),
  at("scheduler-customer-key", schedule, "kmsKeyArn", noKey, ownKey),
  at(
    "apigateway-cache-encrypted",
    methodSettings,
    "settings",
    [{ cachingEnabled: true }, { cachingEnabled: true, cacheDataEncrypted: false }],
    [{ cachingEnabled: true, cacheDataEncrypted: true }, { cachingEnabled: false }, removed],
  ),
  at(
    "s3-own-key-only",
    bucketPolicy,
    "policy",
    [statements("no OwnKeyOnly", (all) => all.filter(({ Sid }) => Sid !== "OwnKeyOnly")), removed],
    [],
    isNotLogs,
  ),
  // Encryption in transit
  gone("s3-tls-only", bucketPolicy),
  at("s3-tls-only", bucketPolicy, "policy", [
    withoutTls,
    emptyTls,
    narrowTls,
    allowTls,
    invertedTls,
    "{",
    removed,
  ]),
  at(
    "sqs-tls-only",
    "aws:sqs/queuePolicy:QueuePolicy",
    "policy",
    [withoutTls, allowTls, invertedTls, "no JSON"],
    [statements("single", ([first]) => first)],
  ),
  at("sqs-tls-only", queue, "policy", [removed], [], has("policy")),
  gone("sns-tls-only", "aws:sns/topicPolicy:TopicPolicy"),
  at("sns-tls-only", "aws:sns/topicPolicy:TopicPolicy", "policy", [
    withoutTls,
    statements("other action", (all) =>
      all.map((each) => (each.Sid === "TlsOnly" ? { ...each, Action: "sns:Subscribe" } : each)),
    ),
  ]),
  at(
    "sns-no-http-subscription",
    "aws:sns/topicSubscription:TopicSubscription",
    "protocol",
    ["http"],
    ["https", removed],
  ),
  at("sns-no-http-subscription", "aws:sns/topicSubscription:TopicSubscription", "endpoint", [
    "http://a.example/",
  ]),
  at("redshift-require-ssl", workgroup, "configParameters", [
    removed,
    [],
    [{ parameterKey: "require_ssl", parameterValue: "false" }],
  ]),
  at("rds-require-tls", "aws:rds/parameterGroup:ParameterGroup", "parameters", [
    [],
    removed,
    [{ name: "require_secure_transport", value: "0" }],
  ]),
  at("rds-require-tls", rds, "parameterGroupName", [removed, "default.mysql8.0"]),
  at(
    "glue-connection-ssl",
    connection,
    "connectionProperties.JDBC_ENFORCE_SSL",
    ["false", removed, false],
    ["true"],
    isJdbc,
  ),
  at(
    "apigateway-tls-policy",
    "aws:apigateway/domainName:DomainName",
    "securityPolicy",
    ["TLS_1_0", removed],
    ["SecurityPolicy_TLS13_1_3_2025_09"],
  ),
  at(
    "apigateway-https-integration",
    "aws:apigateway/integration:Integration",
    "uri",
    ["http://a.example/"],
    ["https://a.example/", removed],
  ),
  at("apigateway-https-integration", "aws:apigateway/integration:Integration", "tlsConfig", [
    { insecureSkipVerification: true },
  ]),
  // Access
  at(
    "reference-own-account",
    target,
    "arn",
    ["arn:aws:sns:eu-central-1:999999999999:alerts"],
    ["arn:aws:sns:eu-central-1:444455556666:alerts", removed],
  ),
  at("reference-own-account", lambda, "role", ["arn:aws:iam::999999999999:role/x"]),
  at("reference-own-account", queue, "kmsMasterKeyId", ["arn:aws:kms:eu-central-1:999999999999:key/1"]),
  at(
    "reference-exact",
    lambda,
    "role",
    ["arn:aws:iam::444455556666:role/*"],
    ["arn:aws:iam::444455556666:role/x", removed],
  ),
  at("reference-exact", target, "deadLetterConfig.arn", ["arn:aws:sqs:eu-central-1:444455556666:?"]),
  at("lambda-no-secrets", lambda, "environment.variables.DB_PASSWORD", ["hunter2"], [""]),
  at(
    "lambda-no-secrets",
    lambda,
    "environment.variables.X",
    ["AKIAIOSFODNN7EXAMPLE", "mysql://u:p@host/db"],
    ["plain", removed],
  ),
  at(
    "glue-no-secrets",
    job,
    "defaultArguments.--password",
    ["hunter2"],
    ["arn:aws:secretsmanager:eu:1:secret:x", removed],
  ),
  at(
    "sfn-no-secrets",
    machine,
    "definition",
    [
      new From(
        "secret",
        edited((document) => ({ ...document, Comment: "AKIAIOSFODNN7EXAMPLE" })),
      ),
    ],
    [removed],
  ),
  at("glue-connection-secret", connection, "connectionProperties.PASSWORD", ["hunter2"]),
  at("glue-connection-secret", connection, "connectionProperties.SECRET_ID", [removed, ""], [], isJdbc),
  at("lambda-permission-source", "aws:lambda/permission:Permission", "sourceArn", [removed, ""]),
  at(
    "lambda-permission-source",
    "aws:lambda/permission:Permission",
    "sourceArn",
    ["arn:aws:s3:::another"],
    [],
    ({ inputs }) => inputs.sourceAccount === undefined,
  ),
  at("lambda-permission-source", "aws:lambda/permission:Permission", "principal", ["*", removed]),
  at("lambda-permission-source", "aws:lambda/permission:Permission", "action", ["lambda:*"]),
  at("lambda-url-authorised", "aws:lambda/functionUrl:FunctionUrl", "authorizationType", ["NONE", removed]),
  at("lambda-code-signing", lambda, "codeSigningConfigArn", [removed, ""], ["arn:aws:lambda:eu:1:csc:1"]),
  at("redshift-managed-password", namespace, "manageAdminPassword", notTrue),
  at("redshift-managed-password", namespace, "adminUserPassword", ["hunter2"]),
  at(
    "redshift-admin-name",
    namespace,
    "adminUsername",
    ["admin", "awsuser", "Admin", removed],
    ["etl_admin"],
  ),
  at("redshift-database-name", namespace, "dbName", ["dev", removed], ["marts"]),
  at("rds-managed-password", rds, "manageMasterUserPassword", notTrue),
  at("rds-managed-password", rds, "password", ["hunter2"]),
  at("rds-managed-password", rds, "masterUserSecretKmsKeyId", noKey),
  at(
    "emr-serverless-no-interactive",
    emr,
    "interactiveConfiguration.studioEnabled",
    [true, removed],
    [false],
  ),
  at("emr-serverless-no-interactive", emr, "interactiveConfiguration.livyEndpointEnabled", [true], [false]),
  at("apigateway-authorization", method, "authorization", ["NONE", removed], ["AWS_IAM"]),
  at("apigateway-authorization", method, "authorizerId", [removed], [], has("authorizerId")),
  at("apigateway-validation", method, "requestValidatorId", [removed]),
  at(
    "apigateway-validation",
    method,
    "requestModels",
    [removed, {}],
    [],
    ({ inputs }) => inputs.httpMethod === "POST",
  ),
  at(
    "apigateway-validator-checks",
    "aws:apigateway/requestValidator:RequestValidator",
    "validateRequestBody",
    notTrue,
  ),
  at(
    "apigateway-validator-checks",
    "aws:apigateway/requestValidator:RequestValidator",
    "validateRequestParameters",
    notTrue,
  ),
  at(
    "apigateway-model-closed",
    model,
    "schema",
    [
      removed,
      "x",
      schema("further properties", (own) => omit(own, "additionalProperties")),
      schema("further properties allowed", (own) => ({ ...own, additionalProperties: true })),
      schema("nothing required", (own) => omit(own, "required")),
      schema("an empty list of what is required", (own) => ({ ...own, required: [] })),
      ...[undefined, 0, 8193].map((maxLength) =>
        schema(`text up to ${maxLength}`, (own) => ({
          ...own,
          properties: {
            ...(isRecord(own.properties) ? own.properties : {}),
            x: { type: "string", maxLength },
          },
        })),
      ),
      ...openSchemas.map((x) =>
        schema(`x ${JSON.stringify(x)}`, (own) => ({ ...own, properties: { x }, required: ["x"] })),
      ),
      ...openSchemas.map((open) => JSON.stringify(open)),
      schema("an open definition", (own) => ({ ...own, definitions: { x: {} } })),
      schema("names by a pattern", (own) => ({ ...own, patternProperties: { "^x": {} } })),
      schema("no property named", (own) => ({ ...own, properties: {} })),
    ],
    [
      ...[1, 8192].map((maxLength) => ({ type: "string", maxLength })),
      ...closedSchemas,
      { type: "array", items: closed },
      { type: ["array", "null"], items: [closed, { type: "number" }], additionalItems: false },
      { anyOf: [closed, { type: "null" }] },
      { oneOf: [closed, { $ref: "#/definitions/short" }] },
      { allOf: [{ type: "string" }, { type: "string", maxLength: 8 }] },
      { ...closed, anyOf: [{ required: ["y"] }, { minProperties: 1 }] },
    ].map((x) =>
      schema(`x ${JSON.stringify(x)}`, (own) => ({
        ...own,
        properties: { x },
        definitions: { short: { type: "string", maxLength: 8 } },
      })),
    ),
  ),
  at(
    "events-pattern-source",
    eventRule,
    "eventPattern",
    [
      "{}",
      '{"source":[]}',
      removed,
      '{"source":[{"anything-but":"x"}]}',
      '{"detail-type":["Glue Job State Change"]}',
      "x",
    ],
    ['{"source":["a.b"]}'],
    isPattern,
  ),
  at(
    "peering-one-account",
    "aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
    "peerOwnerId",
    ["999999999999"],
    ["444455556666", removed],
  ),
  at("peering-one-account", "aws:ec2/vpcPeeringConnection:VpcPeeringConnection", "peerRegion", ["us-east-1"]),
  // Private network
  gone("s3-public-access-block", block),
  ...["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"].map((flag) =>
    at("s3-public-access-block", block, flag, notTrue),
  ),
  gone("s3-ownership-enforced", "aws:s3/bucketOwnershipControls:BucketOwnershipControls"),
  at(
    "s3-ownership-enforced",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "rule.objectOwnership",
    ["ObjectWriter", "BucketOwnerPreferred", removed],
  ),
  at(
    "s3-no-acl",
    bucket,
    "acl",
    ["public-read", "public-read-write", "authenticated-read"],
    ["private", removed],
  ),
  at("s3-no-acl", bucket, "grants", [[{ uri: "http://acs.amazonaws.com/groups/global/AllUsers" }]]),
  at("lambda-in-vpc", lambda, "vpcConfig", [removed, {}]),
  at("lambda-in-vpc", lambda, "vpcConfig.subnetIds", [[], ["subnet-1"]], [["subnet-1", "subnet-2"]]),
  at("lambda-in-vpc", lambda, "vpcConfig.securityGroupIds", [[], removed]),
  at("glue-job-in-vpc", job, "connections", [[], removed]),
  at("glue-connection-private", connection, "physicalConnectionRequirements", [removed, {}]),
  at("glue-connection-private", connection, "physicalConnectionRequirements.subnetId", [removed, ""]),
  gone("glue-connection-private", ingress, ({ name }) => name.endsWith("workloads-self")),
  at("emr-serverless-in-vpc", emr, "networkConfiguration", [removed]),
  at("emr-serverless-in-vpc", emr, "networkConfiguration.subnetIds", [["subnet-1"]]),
  at("redshift-not-public", workgroup, "publiclyAccessible", [true, removed], [false]),
  at("redshift-not-public", workgroup, "subnetIds", [["subnet-1", "subnet-2"]]),
  at("redshift-enhanced-vpc-routing", workgroup, "enhancedVpcRouting", notTrue),
  at("rds-not-public", rds, "publiclyAccessible", [true], [false, removed]),
  at("rds-private-subnets", rds, "dbSubnetGroupName", [removed]),
  at("rds-private-subnets", "aws:ec2/subnet:Subnet", "mapPublicIpOnLaunch", [true], [], isExtra),
  at("rds-private-subnets", "aws:rds/subnetGroup:SubnetGroup", "subnetIds", [["subnet-1"]]),
  gone("vpc-default-group-closed", defaultGroup),
  at("vpc-default-group-closed", defaultGroup, "ingress", [[{ protocol: "-1", self: true }]]),
  at("vpc-default-group-closed", defaultGroup, "egress", [[{ protocol: "-1", cidrBlocks: ["0.0.0.0/0"] }]]),
  at("subnet-no-public-address", "aws:ec2/subnet:Subnet", "mapPublicIpOnLaunch", [true], [false, removed]),
  at(
    "subnet-no-public-address",
    vpc,
    "subnetSpecs",
    [removed, [], [{ type: "Public" }]],
    [[{ type: "Private" }]],
  ),
  at("vpc-private-dns", vpc, "enableDnsHostnames", notTrue),
  at("vpc-private-dns", vpc, "enableDnsSupport", [false], [true, removed]),
  at("security-group-no-open-ingress", ingress, "cidrIpv4", open, ["10.0.0.0/8", removed]),
  at("security-group-no-open-ingress", ingress, "cidrIpv6", ["::/0"]),
  at("security-group-no-open-ingress", group, "ingress", [
    [{ cidrBlocks: ["0.0.0.0/0"] }],
    [{ ipv6CidrBlocks: ["::/0"] }],
  ]),
  at("security-group-no-open-ingress", groupRule, "cidrBlocks", [["0.0.0.0/0"]]),
  at("security-group-no-open-egress", egress, "cidrIpv4", open, ["10.0.0.0/8", removed]),
  at("security-group-no-open-egress", group, "egress", [[{ cidrBlocks: ["0.0.0.0/0"] }]]),
  at("security-group-one-protocol", ingress, "ipProtocol", ["-1", "all"], ["tcp", "udp", removed]),
  at("security-group-one-protocol", egress, "ipProtocol", ["-1"]),
  at("security-group-narrow-ports", ingress, "toPort", [65_535, 453, removed], [443, 452], isAcross),
  at(
    "security-group-narrow-ports",
    egress,
    "fromPort",
    [0, removed],
    [443],
    ({ inputs }) => inputs.toPort === 443,
  ),
  at("security-group-narrow-ports", egress, "ipProtocol", ["-1", "all"], ["tcp"], isAcross),
  at("security-group-narrow-ports", groupRule, "protocol", ["-1", "all", "ALL"], ["tcp", "udp"], isExtra),
  at(
    "security-group-narrow-ports",
    groupRule,
    "sourceSecurityGroupId",
    ["sg-other", removed],
    [],
    ({ name }) => name === "extra-self",
  ),
  at("security-group-narrow-ports", group, "egress", [[{ protocol: "all", fromPort: 0, toPort: 0 }]]),
  at(
    "security-group-narrow-ports",
    egress,
    "referencedSecurityGroupId",
    ["sg-other", removed],
    [],
    ({ name }) => name.endsWith("-self"),
  ),
  at(
    "security-group-narrow-ports",
    group,
    "egress",
    [[{ protocol: "tcp", fromPort: 1, toPort: 65_535 }]],
    [
      [{ protocol: "tcp", fromPort: 443, toPort: 443 }],
      [{ protocol: "tcp", fromPort: 0, toPort: 65_535, self: true }],
      [],
    ],
  ),
  at(
    "apigateway-endpoint-type",
    api,
    "endpointConfiguration",
    [removed, { types: "EDGE" }, { types: ["EDGE"] }, { types: [] }],
    [{ types: "PRIVATE" }, { types: ["REGIONAL"] }],
  ),
  at(
    "vpc-needed-endpoints",
    endpoint,
    "serviceName",
    ["com.amazonaws.eu-central-1.ec2", removed],
    ["com.amazonaws.eu-central-1.s3"],
    ({ name }) => name.endsWith("-s3"),
  ),
  gone("vpc-needed-endpoints", endpoint, ({ name }) => /-(s3|glue|dynamodb|logs)$/.test(name)),
  at("vpc-endpoint-private-dns", endpoint, "privateDnsEnabled", notTrue, [true], isInterface),
  at("vpc-endpoint-private-dns", endpoint, "securityGroupIds", [removed, []], [], isInterface),
  at("vpc-endpoint-private-dns", endpoint, "subnetIds", [removed, []], [], isInterface),
  at("vpc-endpoint-policy", endpoint, "policy", [
    removed,
    '{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Principal":"*","NotAction":"s3:PutObject","Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}',
    '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:role/x"},"Action":"*:*","Resource":"*"}}',
    statements("no condition", (all) => all.map((each) => omit(each, "Condition"))),
    ...[
      { ArnLike: { "aws:PrincipalArn": "arn:aws:*:*:*:*" } },
      { ArnLike: { "aws:PrincipalArn": "arn:aws:iam::*:role/securecart-*" } },
      { ArnLike: { "aws:PrincipalArn": ["arn:aws:iam::444455556666:role/x", "arn:aws:iam::*:role/x"] } },
      { StringLike: { "aws:PrincipalAccount": "4*" } },
      { StringLike: { "aws:PrincipalOrgPaths": "o-*/*" } },
      { Null: { "aws:PrincipalAccount": "true" } },
    ].map((Condition) =>
      statements(JSON.stringify(Condition), (all) => all.map((each) => ({ ...each, Condition }))),
    ),
  ]),
  at(
    "vpc-endpoint-policy",
    endpoint,
    "policy",
    ["x"],
    [
      '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:role/x"},"Action":"s3:GetObject","Resource":"*"}}',
      ...[
        { ArnLike: { "aws:PrincipalArn": "arn:aws:iam::444455556666:role/securecart-*" } },
        { "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/*" } },
      ].map((Condition) =>
        statements(JSON.stringify(Condition), (all) => all.map((each) => ({ ...each, Condition }))),
      ),
    ],
  ),
  at("vpc-no-internet-route", "aws:ec2/route:Route", "destinationCidrBlock", open, ["10.0.0.0/8", removed]),
  at(
    "vpc-no-internet-route",
    "aws:ec2/route:Route",
    "gatewayId",
    ["igw-0123456789abcdef0"],
    ["vgw-0123456789abcdef0"],
  ),
  at("vpc-no-internet-route", "aws:ec2/route:Route", "natGatewayId", ["nat-0123456789abcdef0"], [removed]),
  at(
    "vpc-no-internet-route",
    "aws:ec2/route:Route",
    "egressOnlyGatewayId",
    ["eigw-0123456789abcdef0"],
    [removed],
  ),
  at(
    "vpc-no-internet-route",
    "aws:ec2/routeTable:RouteTable",
    "routes[0].cidrBlock",
    ["0.0.0.0/0"],
    [],
    isExtra,
  ),
  at(
    "vpc-no-internet-route",
    "aws:ec2/route:Route",
    "carrierGatewayId",
    ["cagw-0123456789abcdef0"],
    [removed],
  ),
  at(
    "vpc-no-internet-route",
    "aws:ec2/defaultRouteTable:DefaultRouteTable",
    "routes[0].cidrBlock",
    ["0.0.0.0/0"],
    ["10.0.0.0/8"],
  ),
  at("vpc-no-internet-route", "aws:ec2/defaultRouteTable:DefaultRouteTable", "routes", [
    [{ ipv6CidrBlock: "::/0", egressOnlyGatewayId: "eigw-1" }],
    [{ cidrBlock: "52.0.0.0/24", natGatewayId: "nat-1" }],
  ]),
  at("vpc-no-internet-route", vpc, "natGateways", [
    removed,
    { strategy: "Single" },
    { strategy: "OnePerAz" },
  ]),
  gone("apigateway-waf", "aws:wafv2/webAclAssociation:WebAclAssociation"),
  at("apigateway-waf", "aws:wafv2/webAclAssociation:WebAclAssociation", "resourceArn", [
    new From("another stage", (arn) => String(arn).replace(/[^/]+$/, "another")),
    new From("the same name of another API", (arn) =>
      String(arn).replace(/restapis\/[^/]+/, "restapis/another"),
    ),
    new From("a name that begins with the stage's", (arn) => `${arn}2`),
    removed,
  ]),
  // Logging and tracing
  gone("s3-access-logging", "aws:s3/bucketLogging:BucketLogging"),
  at("s3-access-logging", "aws:s3/bucketLogging:BucketLogging", "targetBucket", [removed, ""]),
  gone("vpc-flow-logs", "aws:ec2/flowLog:FlowLog"),
  at("vpc-flow-logs", "aws:ec2/flowLog:FlowLog", "trafficType", ["ACCEPT", "REJECT", removed], ["ALL"]),
  at("vpc-flow-logs", "aws:ec2/flowLog:FlowLog", "logDestination", [removed, ""]),
  at(
    "glue-continuous-logs",
    job,
    "defaultArguments.--enable-continuous-cloudwatch-log",
    ["false", removed],
    ["true"],
  ),
  at("glue-metrics", job, "defaultArguments.--enable-metrics", ["false", removed], ["", "true"]),
  at("lambda-tracing", lambda, "tracingConfig", [removed]),
  at("lambda-tracing", lambda, "tracingConfig.mode", ["PassThrough", removed, true], ["Active"]),
  at("sfn-logging", machine, "loggingConfiguration", [removed, {}]),
  at("sfn-logging", machine, "loggingConfiguration.level", ["OFF", "ERROR", "FATAL", removed]),
  at("sfn-logging", machine, "loggingConfiguration.includeExecutionData", notTrue),
  at("sfn-logging", machine, "loggingConfiguration.logDestination", [removed, ""]),
  at("sfn-tracing", machine, "tracingConfiguration.enabled", notTrue),
  at("redshift-log-exports", namespace, "logExports", [removed, [], ["userlog", "connectionlog"], "userlog"]),
  at("rds-log-exports", rds, "enabledCloudwatchLogsExports", [removed, [], ["audit", "error"]]),
  at("emr-serverless-logs", emr, "monitoringConfiguration", [removed, {}]),
  at(
    "emr-serverless-logs",
    emr,
    "monitoringConfiguration.s3MonitoringConfiguration",
    [{ logUri: "s3://logs/", encryptionKeyArn: "arn:aws:kms:eu-central-1:444455556666:key/1" }],
    [{}],
  ),
  at(
    "emr-serverless-logs",
    emr,
    "monitoringConfiguration.cloudwatchLoggingConfiguration.enabled",
    [false, removed],
    [true],
  ),
  at("emr-serverless-logs", emr, "monitoringConfiguration.cloudwatchLoggingConfiguration.logTypes", [
    removed,
    [],
    [{ name: "SPARK_DRIVER", values: ["STDOUT", "STDERR"] }],
    [{ name: "SPARK_EXECUTOR", values: ["STDERR"] }],
    "x",
  ]),
  at(
    "databrew-job-logs",
    cloudformation,
    "templateBody",
    [
      recipeJob("no logs", (job) => omit(job, "LogSubscription")),
      recipeJob("logs off", (job) => ({ ...job, LogSubscription: "DISABLE" })),
    ],
    [removed],
    isRecipeJob,
  ),
  at("log-retention", logGroup, "retentionInDays", [0, 1, 364, 3654, removed, "365"], [365, 3653]),
  gone("log-group-declared", logGroup, ({ name }) => /-(plan|userlog)$/.test(name)),
  at("log-group-declared", machine, "loggingConfiguration.logDestination", [
    "arn:aws:logs:eu-central-1:444455556666:log-group:/another:*",
  ]),
  at("log-group-declared", emr, "monitoringConfiguration.cloudwatchLoggingConfiguration.logGroupName", [
    removed,
    "/another",
  ]),
  at("apigateway-access-logs", stage, "accessLogSettings", [removed, {}]),
  at("apigateway-access-logs", stage, "accessLogSettings.destinationArn", [removed]),
  at("apigateway-access-logs", stage, "accessLogSettings.format", [removed, "", "$context.requestId"]),
  at("apigateway-metrics", methodSettings, "settings.metricsEnabled", notTrue, [true]),
  gone("apigateway-metrics", methodSettings),
  at("apigateway-execution-logs", methodSettings, "settings.loggingLevel", ["OFF", removed], ["INFO"]),
  at("apigateway-execution-logs", methodSettings, "settings.dataTraceEnabled", [true], [false, removed]),
  at("apigateway-tracing", stage, "xrayTracingEnabled", notTrue),
  at("alarm-has-action", alarm, "alarmActions", [removed, []]),
  at("alarm-has-action", alarm, "actionsEnabled", [false], [true]),
  at(
    "alarm-can-fire",
    alarm,
    "period",
    [0, 61, 86_460, -60],
    [10, 60, 86_400],
    ({ inputs }) => inputs.metricQueries === undefined,
  ),
  at("alarm-can-fire", alarm, "evaluationPeriods", [0, 101, removed], [1, 100]),
  at("alarm-can-fire", alarm, "threshold", [-1, 101, removed], [0, 100], ofFailures),
  ...["AWS/Kinesis", "AWS/SQS", "AWS/States", "AWS/ApiGateway", "AWS/EMRServerless", "Glue"].map(
    (namespace) =>
      at(
        "alarm-can-fire",
        alarm,
        "dimensions",
        [removed, {}],
        [],
        ({ inputs }) => inputs.namespace === namespace,
      ),
  ),
  at("lambda-alarm", alarm, "metricName", ["Invocations", removed], [], ({ name }) =>
    name.endsWith("-plan-errors"),
  ),
  gone("lambda-alarm", alarm, ({ name }) => name.endsWith("-plan-errors")),
  at(
    "sfn-alarm",
    alarm,
    "dimensions.StateMachineArn",
    ["arn:aws:states:eu:1:stateMachine:another", removed],
    [],
    ({ name }) => name.endsWith("workflow-failed"),
  ),
  gone("sfn-alarm", alarm, ({ name }) => /workflow-(failed|timed-out)$/.test(name)),
  gone("glue-alarm", eventRule, ({ name }) => name.endsWith("job-failed")),
  at("glue-alarm", eventRule, "state", ["DISABLED"], [], ({ name }) => name.endsWith("job-failed")),
  at("glue-alarm", eventRule, "eventPattern", ['{"source":["aws.s3"]}'], [], ({ name }) =>
    name.endsWith("job-failed"),
  ),
  at("kinesis-alarm", stream, "name", ["another"], [removed]),
  at("queue-alarm", queue, "name", ["another"]),
  gone("queue-alarm", alarm, ({ inputs }) => inputs.namespace === "AWS/SQS"),
  gone("redshift-alarm", alarm, ({ name }) => name.endsWith("queries-failed")),
  at(
    "redshift-alarm",
    alarm,
    "metricQueries",
    [
      [{ id: "m", metric: { metricName: "QueriesFailed", dimensions: { Workgroup: "securecart-prod" } } }],
      [],
    ],
    [],
    ({ name }) => name.endsWith("queries-failed"),
  ),
  // Durability
  gone("s3-versioning", "aws:s3/bucketVersioning:BucketVersioning"),
  at("s3-versioning", "aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", [
    "Suspended",
    "Disabled",
    removed,
  ]),
  gone("s3-lifecycle-uploads", lifecycle),
  at(
    "s3-lifecycle-uploads",
    lifecycle,
    "rules[0].abortIncompleteMultipartUpload.daysAfterInitiation",
    [0, 8, removed],
    [1, 7],
  ),
  at("s3-lifecycle-uploads", lifecycle, "rules[0].status", ["Disabled"]),
  gone("s3-lifecycle-noncurrent", lifecycle),
  at(
    "s3-lifecycle-noncurrent",
    lifecycle,
    "rules[0].noncurrentVersionExpiration.noncurrentDays",
    [0, 6, 366, removed],
    [7, 365],
  ),
  at("s3-lifecycle-keeps-tables", lifecycle, "rules[0].expiration", [{ days: 30 }]),
  at("s3-lifecycle-keeps-tables", lifecycle, "rules[1].filter.prefix", ["tables/", "", "t", "tables/x/"]),
  at("s3-lifecycle-keeps-tables", lifecycle, "rules[1].expiration.days", [0], [1, removed]),
  at("s3-no-force-destroy", bucket, "forceDestroy", [true, "no"], [false, removed]),
  at("s3-object-lock", bucket, "objectLockEnabled", [removed, false], [true], isLogs),
  at("kinesis-retention", stream, "retentionPeriod", [24, 167, 0, removed], [168, 8760]),
  at("dynamodb-recovery", table, "pointInTimeRecovery.enabled", notTrue),
  at("dynamodb-recovery", table, "pointInTimeRecovery.recoveryPeriodInDays", [0, 6, 36], [7, 35, removed]),
  at("dynamodb-deletion-protection", table, "deletionProtectionEnabled", notTrue),
  at("rds-backups", rds, "backupRetentionPeriod", [0, 6, 36, removed], [7, 35]),
  at("rds-multi-az", rds, "multiAz", notTrue),
  at("rds-deletion-protection", rds, "deletionProtection", notTrue),
  at("rds-final-snapshot", rds, "skipFinalSnapshot", [true], [false]),
  at("rds-final-snapshot", rds, "finalSnapshotIdentifier", [removed, ""]),
  gone("secrets-rotation", rotation),
  at(
    "secrets-rotation",
    rotation,
    "rotationRules",
    [
      removed,
      { automaticallyAfterDays: 91 },
      { automaticallyAfterDays: 0 },
      { scheduleExpression: "rate(100 days)" },
    ],
    [{ automaticallyAfterDays: 90 }, { scheduleExpression: "rate(10 days)" }],
  ),
  at("secrets-rotation", rotation, "rotationEnabled", [false], [true]),
  at("secrets-recovery-window", secret, "recoveryWindowInDays", [0, 6, 31], [7, 30, removed]),
  at("subnet-zone-named", "aws:ec2/subnet:Subnet", "availabilityZone", [removed, ""], ["eu-central-1a"]),
  at("lambda-runtime-current", lambda, "runtime", ["nodejs16.x", "python3.8", removed], ["nodejs24.x"]),
  at("glue-version", job, "glueVersion", ["4.0", "3.0", "0.9", removed], ["5.0", "6.0"]),
  at("emr-serverless-release", emr, "releaseLabel", ["emr-6.15.0", removed], ["emr-7.0.0", "emr-8.1.0"]),
  // Failure handling
  at("lambda-failure-destination", lambda, "deadLetterConfig", [removed, {}], [], ({ name }) =>
    name.endsWith("-verdict"),
  ),
  at("lambda-bounded-retries", invoke, "maximumRetryAttempts", [3, -1, removed], [0, 2]),
  at("lambda-bounded-retries", invoke, "maximumEventAgeInSeconds", [0, 59, 3601, removed], [60, 3600]),
  at("lambda-mapping-destination", mapping, "destinationConfig", [removed, {}], [], isStreamMapping),
  at(
    "lambda-mapping-retries",
    mapping,
    "maximumRetryAttempts",
    [-1, 101, 10_000, removed],
    [0, 100],
    isStreamMapping,
  ),
  at(
    "lambda-mapping-age",
    mapping,
    "maximumRecordAgeInSeconds",
    [-1, 0, 59, removed],
    [60, 604_800],
    isStreamMapping,
  ),
  at(
    "lambda-mapping-single-record",
    mapping,
    "functionResponseTypes",
    [removed, []],
    [["ReportBatchItemFailures"]],
    ({ inputs }) => inputs.bisectBatchOnFunctionError !== true,
  ),
  at("sfn-task-retry", machine, "definition", [
    removed,
    tasks("no Retry", (state) => omit(state, "Retry")),
    tasks("empty Retry", (state) => ({ ...state, Retry: [] })),
    retriers("no attempts", "MaxAttempts", 0),
    "x",
    "{}",
  ]),
  at("sfn-task-catch", machine, "definition", [
    removed,
    tasks("no Catch", (state) => omit(state, "Catch")),
    states("Map", "no Catch of a Map", (state) => omit(state, "Catch")),
    states("Parallel", "no Catch of a Parallel", (state) => omit(state, "Catch")),
    tasks("narrow Catch", (state) => ({ ...state, Catch: [{ ErrorEquals: ["States.Timeout"], Next: "x" }] })),
  ]),
  at(
    "sfn-retry-bounded",
    machine,
    "definition",
    [
      removed,
      retriers("attempts without end", "MaxAttempts", 99_999_999),
      retriers("11 attempts", "MaxAttempts", 11),
      retriers("no interval", "IntervalSeconds", 0),
      retriers("a long interval", "IntervalSeconds", 901),
      retriers("shrinking pauses", "BackoffRate", 0.5),
      retriers("exploding pauses", "BackoffRate", 11),
      retriers("a long pause", "MaxDelaySeconds", 3601),
      retriers("no number", "MaxAttempts", "3"),
    ],
    [
      retriers("10 attempts", "MaxAttempts", 10),
      retriers("the longest interval", "IntervalSeconds", 900),
      retriers("even pauses", "BackoffRate", 1),
      retriers("defaults", "MaxAttempts", undefined),
    ],
  ),
  at("sfn-task-timeout", machine, "definition", [
    removed,
    tasks("no timeout", (state) => omit(state, "TimeoutSeconds")),
    tasks("timeout 0", (state) => ({ ...state, TimeoutSeconds: 0 })),
    tasks("endless", (state) => ({ ...state, TimeoutSeconds: 99_999_999 })),
  ]),
  at("sfn-timeout", machine, "definition", [
    removed,
    new From(
      "no timeout",
      edited((document) => omit(document, "TimeoutSeconds")),
    ),
    new From(
      "0",
      edited((document) => ({ ...document, TimeoutSeconds: 0 })),
    ),
  ]),
  at(
    "sqs-dead-letter-queue",
    queue,
    "redrivePolicy",
    [
      removed,
      "{}",
      '{"deadLetterTargetArn":"a","maxReceiveCount":0}',
      '{"deadLetterTargetArn":"a","maxReceiveCount":21}',
    ],
    ['{"deadLetterTargetArn":"a","maxReceiveCount":20}'],
    ({ name }) => name === "extra",
  ),
  at(
    "sqs-retention",
    queue,
    "messageRetentionSeconds",
    [0, 345_600, removed],
    [1_209_600],
    ({ inputs }) => inputs.redrivePolicy === undefined,
  ),
  at(
    "sqs-redrive-allow",
    queue,
    "redriveAllowPolicy",
    [removed, '{"redrivePermission":"allowAll"}', "x"],
    [],
    has("redriveAllowPolicy"),
  ),
  at("events-target-dead-letter", target, "deadLetterConfig", [removed, {}]),
  at("events-target-retry", target, "retryPolicy", [removed]),
  at("events-target-retry", target, "retryPolicy.maximumRetryAttempts", [0, 186], [1, 185]),
  at("events-target-retry", target, "retryPolicy.maximumEventAgeInSeconds", [0, 59, 86_401], [60, 86_400]),
  at("scheduler-dead-letter", schedule, "target.deadLetterConfig", [removed, {}]),
  at("scheduler-retry", schedule, "target.retryPolicy", [removed]),
  at("scheduler-retry", schedule, "target.retryPolicy.maximumRetryAttempts", [0, 186], [1, 185]),
  at("glue-retries", job, "maxRetries", [3, 10, removed], [0, 2]),
  at("iceberg-no-concurrent-runs", job, "executionProperty.maxConcurrentRuns", [2, 1000, 0], [1, removed]),
  at("lambda-timeout", lambda, "timeout", [0, 901, removed], [1, 900]),
  at("cloudformation-rolls-back", cloudformation, "onFailure", ["DO_NOTHING"], ["ROLLBACK", "DELETE"]),
  at("cloudformation-rolls-back", cloudformation, "disableRollback", [true], [false]),
  at("cloudformation-rolls-back", cloudformation, "timeoutInMinutes", [0, 61, removed], [1, 60]),
  // Cost
  at("glue-workers", job, "numberOfWorkers", [0, 1, 51, removed], [2, 50]),
  at("glue-worker-type", job, "workerType", ["G.8X", removed], ["G.1X"]),
  at("glue-timeout", job, "timeout", [0, 481, 2880, removed], [1, 480], isBatchJob),
  at("emr-serverless-capacity", emr, "maximumCapacity", [removed]),
  at("emr-serverless-capacity", emr, "maximumCapacity.cpu", ["401 vCPU", "0 vCPU"], ["400 vCPU"]),
  at("emr-serverless-capacity", emr, "maximumCapacity.memory", ["3001 GB"], ["3000 GB"]),
  at("emr-serverless-auto-stop", emr, "autoStopConfiguration.enabled", notTrue),
  at("emr-serverless-auto-stop", emr, "autoStopConfiguration.idleTimeoutMinutes", [0, 61, removed], [1, 60]),
  at("emr-serverless-capacity", emr, "maximumCapacity.disk", ["20001 GB", "0 GB", removed], ["20000 GB"]),
  at(
    "emr-serverless-job-timeout",
    machine,
    "definition",
    [
      removed,
      ...[undefined, 0, 481, "60"].map((ExecutionTimeoutMinutes) =>
        calling("startJobRun", `${ExecutionTimeoutMinutes} minutes`, (given) => ({
          ...given,
          ExecutionTimeoutMinutes,
        })),
      ),
    ],
    [1, 480].map((ExecutionTimeoutMinutes) =>
      calling("startJobRun", `${ExecutionTimeoutMinutes} minutes`, (given) => ({
        ...given,
        ExecutionTimeoutMinutes,
      })),
    ),
  ),
  at(
    "sfn-map-concurrency",
    machine,
    "definition",
    [
      removed,
      ...[undefined, 0, 41, -1].map((MaxConcurrency) =>
        states("Map", `${MaxConcurrency} at once`, (state) => ({ ...state, MaxConcurrency })),
      ),
    ],
    [1, 40, "{% $n %}"].map((MaxConcurrency) =>
      states("Map", `${MaxConcurrency} at once`, (state) => ({ ...state, MaxConcurrency })),
    ),
  ),
  at(
    "databrew-job-bounded",
    cloudformation,
    "templateBody",
    [
      ...[undefined, 0, 481].map((Timeout) =>
        recipeJob(`timeout ${Timeout}`, (job) => ({ ...job, Timeout })),
      ),
      ...[undefined, 0, 11].map((MaxCapacity) =>
        recipeJob(`${MaxCapacity} nodes`, (job) => ({ ...job, MaxCapacity })),
      ),
      ...[3, "many"].map((MaxRetries) =>
        recipeJob(`${MaxRetries} retries`, (job) => ({ ...job, MaxRetries })),
      ),
    ],
    [
      removed,
      recipeJob("the longest timeout", (job) => ({ ...job, Timeout: 480 })),
      recipeJob("the most nodes", (job) => ({ ...job, MaxCapacity: 10 })),
      recipeJob("retries by default", (job) => omit(job, "MaxRetries")),
      recipeJob("two retries", (job) => ({ ...job, MaxRetries: 2 })),
    ],
    isRecipeJob,
  ),
  at("redshift-capacity", workgroup, "maxCapacity", [0, 257, removed], [256]),
  at("redshift-capacity", workgroup, "baseCapacity", [0, 3, 512, removed], [4]),
  gone("redshift-usage-limit", usageLimit),
  at("redshift-usage-limit", usageLimit, "amount", [0, 10_001, removed], [1, 10_000]),
  at("redshift-usage-limit", usageLimit, "usageType", ["cross-region-datasharing"]),
  at("redshift-usage-limit", usageLimit, "breachAction", ["log", removed], ["emit-metric", "deactivate"]),
  at(
    "redshift-query-timeout",
    workgroup,
    "configParameters",
    [
      removed,
      [],
      [{ parameterKey: "max_query_execution_time", parameterValue: "86401" }],
      [{ parameterKey: "max_query_execution_time", parameterValue: "0" }],
    ],
    ["1", "86400"].map((parameterValue) => [{ parameterKey: "max_query_execution_time", parameterValue }]),
  ),
  at("kinesis-shards", stream, "shardCount", [0, 33, removed], [1, 32]),
  at("dynamodb-capacity", table, "billingMode", ["PROVISIONED", removed]),
  at(
    "dynamodb-capacity",
    table,
    "onDemandThroughput.maxReadRequestUnits",
    [-1, 0, 40_001, removed],
    [1, 40_000],
  ),
  at("dynamodb-capacity", table, "onDemandThroughput.maxWriteRequestUnits", [-1, 40_001, removed]),
  at("rds-instance-class", rds, "instanceClass", ["db.r7g.16xlarge", removed], ["db.r7g.large"]),
  at("lambda-memory", lambda, "memorySize", [0, 127, 4097, 10_240, removed], [128, 4096]),
  at("lambda-concurrency", lambda, "reservedConcurrentExecutions", [-1, 0, 201, removed], [1, 200]),
  at(
    "apigateway-throttling",
    methodSettings,
    "settings.throttlingRateLimit",
    [-1, 0, 10_001, removed],
    [1, 10_000],
  ),
  at("apigateway-throttling", methodSettings, "settings.throttlingBurstLimit", [-1, 0, removed]),
  gone("apigateway-throttling", methodSettings),
  at("regions-allowed", "pulumi:providers:aws", "region", ["us-east-1"], ["eu-central-1", removed]),
  at("regions-allowed", target, "arn", ["arn:aws:sns:us-east-1:444455556666:alerts"]),
  gone("budget-exists", budget),
  at("budget-exists", budget, "limitAmount", ["0", "20001", removed, "much"], ["20000"]),
  at("budget-exists", budget, "notifications", [removed, []]),
  at("budget-exists", budget, "timeUnit", ["ANNUALLY"]),
  at("budget-exists", budget, "notifications[1].threshold", [0, 201, removed], [1, 200]),
  at("budget-exists", budget, "notifications[1].subscriberSnsTopicArns", [removed, []]),
  // Tagging
  ...["project", "environment", "owner", "cost-center", "managed-by"].map((tag) =>
    at("required-tags", bucket, `tags.${tag}`, [removed, ""]),
  ),
  at("required-tags", lambda, "tags", [removed, {}, "x"]),
  at("environment-tag", bucket, "tags.environment", ["staging"], ["dev", removed]),
];

/** What a case makes of a resource's inputs. */
export const madeOf = (value: unknown, inputs: Inputs, path: string): unknown =>
  value instanceof From ? value.make(inputs[path]) : value;
