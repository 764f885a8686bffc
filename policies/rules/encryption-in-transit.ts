import { matches } from "../iam/actions.ts";
import type { PolicyStatement } from "../iam/document.ts";
import type { Reader } from "../reader.ts";
import { type Check, notApplicable, type Rule } from "../rule.ts";
import { controls, docs, onResource, onStack } from "./checks.ts";
import { statementsOf } from "./statements.ts";

const base = { category: "encryption in transit", severity: "high", level: "mandatory" } as const;

/** Whether a statement denies this action to everyone who comes without TLS. */
function deniesPlain(statement: PolicyStatement, action: string): boolean {
  const everyone = Object.values(statement.principals).some((names) => names.includes("*"));
  const conditions = Object.entries(statement.conditions);
  const withoutTls = conditions.every(
    ([operator, keys]) =>
      /^bool(ifexists)?$/i.test(operator) &&
      // An empty condition is none: the statement would deny everything, or nothing.
      Object.keys(keys).length > 0 &&
      Object.entries(keys).every(
        ([key, values]) =>
          key === "aws:securetransport" && values.every((value) => value.toLowerCase() === "false"),
      ),
  );
  return (
    statement.effect === "Deny" &&
    everyone &&
    conditions.length > 0 &&
    withoutTls &&
    statement.actions.some((pattern) => matches(pattern, action, true))
  );
}

/** Policies of a resource, its own and those of resources for it, deny what comes without TLS. */
const tlsOnly =
  (
    policyType: string,
    property: string,
    action: string,
    resources: (name: string) => readonly string[],
  ): Check =>
  (resource, stack) => {
    const statements = [
      ...statementsOf(resource, "policy"),
      ...stack.attached(policyType, property, resource).flatMap((policy) => statementsOf(policy, "policy")),
    ].filter((statement) => deniesPlain(statement, action));
    const name = stack.physicalName(resource);
    const covered = resources(name ?? "").every((needed) =>
      statements.some(({ resources: patterns }) =>
        patterns.some((pattern) => pattern === "*" || pattern === needed || pattern.endsWith(`:${needed}`)),
      ),
    );
    if (statements.length === 0) return "no policy denies what comes without TLS";
    return name === undefined || covered
      ? undefined
      : `the denial without TLS does not cover ${resources(name).join(" and ")}`;
  };

/** A parameter of a parameter group. */
const parameterOf = (group: Reader, name: string, nameKey: string, valueKey: string): string | undefined =>
  group
    .items(nameKey === "name" ? "parameters" : "configParameters")
    .find((parameter) => parameter.text(nameKey) === name)
    ?.text(valueKey);

export const encryptionInTransit: readonly Rule[] = [
  onStack(
    "s3-tls-only",
    {
      ...base,
      title: "A bucket's policy denies every request without TLS, to the bucket and to its objects.",
      controls: controls("cdk-nag S10", "FSBP S3.5"),
      remedy: "Deny s3:* to * on the bucket and bucket/* where aws:SecureTransport is false.",
      link: `${docs}/AmazonS3/latest/userguide/security-best-practices.html`,
      types: ["aws:s3/bucket:Bucket"],
    },
    tlsOnly("aws:s3/bucketPolicy:BucketPolicy", "bucket", "s3:GetObject", (name) => [name, `${name}/*`]),
    tlsOnly("aws:s3/bucketPolicy:BucketPolicy", "bucket", "s3:PutObject", (name) => [name, `${name}/*`]),
    tlsOnly("aws:s3/bucketPolicy:BucketPolicy", "bucket", "s3:ListBucket", (name) => [name]),
  ),
  onStack(
    "sqs-tls-only",
    {
      ...base,
      title: "A queue's policy denies every request without TLS.",
      controls: controls("cdk-nag SQS4"),
      remedy: "Deny sqs:* to * where aws:SecureTransport is false.",
      link: `${docs}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html`,
      types: ["aws:sqs/queue:Queue"],
    },
    tlsOnly("aws:sqs/queuePolicy:QueuePolicy", "queueUrl", "sqs:SendMessage", (name) => [name]),
    tlsOnly("aws:sqs/queuePolicy:QueuePolicy", "queueUrl", "sqs:ReceiveMessage", (name) => [name]),
  ),
  onStack(
    "sns-tls-only",
    {
      ...base,
      title: "A topic's policy denies publishing without TLS.",
      controls: controls("cdk-nag SNS3"),
      remedy: "Deny sns:Publish to * where aws:SecureTransport is false.",
      link: `${docs}/sns/latest/dg/sns-security-best-practices.html`,
      types: ["aws:sns/topic:Topic"],
    },
    tlsOnly("aws:sns/topicPolicy:TopicPolicy", "arn", "sns:Publish", (name) => [name]),
  ),
  onResource(
    "sns-no-http-subscription",
    {
      ...base,
      title: "No subscription delivers over plain HTTP.",
      controls: controls(),
      remedy: "Subscribe with https.",
      link: `${docs}/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html`,
      types: ["aws:sns/topicSubscription:TopicSubscription"],
    },
    (subscription) => (subscription.text("protocol") === "http" ? "protocol is http" : undefined),
    (subscription) =>
      subscription.text("endpoint")?.startsWith("http://") === true ? "endpoint is plain HTTP" : undefined,
  ),
  onResource(
    "redshift-require-ssl",
    {
      ...base,
      title: "A warehouse takes no connection without TLS.",
      controls: controls("FSBP RedshiftServerless.2"),
      remedy: "Set the configuration parameter require_ssl to true.",
      link: `${docs}/redshift/latest/mgmt/serverless-security-vpc-endpoint.html`,
      types: ["aws:redshiftserverless/workgroup:Workgroup"],
    },
    (workgroup) => {
      const value = parameterOf(workgroup, "require_ssl", "parameterKey", "parameterValue");
      return value === "true" ? undefined : `require_ssl is ${value ?? "not set"}, not true`;
    },
  ),
  onStack(
    "rds-require-tls",
    {
      ...base,
      title: "A database takes no connection without TLS.",
      controls: controls("checkov 2_69"),
      remedy: "Use a parameter group with require_secure_transport (MySQL) or rds.force_ssl (PostgreSQL).",
      link: `${docs}/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html`,
      types: ["aws:rds/instance:Instance", "aws:rds/cluster:Cluster"],
    },
    (database, stack) => {
      const isCluster = database.resource.type.endsWith(":Cluster");
      const [property, type] = isCluster
        ? ["dbClusterParameterGroupName", "aws:rds/clusterParameterGroup:ClusterParameterGroup"]
        : ["parameterGroupName", "aws:rds/parameterGroup:ParameterGroup"];
      const group = stack.target(database, property, type);
      if (!group) return `${property} names no parameter group of this stack`;
      const mysql = parameterOf(group, "require_secure_transport", "name", "value");
      const postgres = parameterOf(group, "rds.force_ssl", "name", "value");
      const isRequired = ["1", "on"].includes((mysql ?? postgres ?? "").toLowerCase());
      return isRequired ? undefined : "neither require_secure_transport nor rds.force_ssl is 1";
    },
  ),
  onResource(
    "glue-connection-ssl",
    {
      ...base,
      title: "A connection to a database enforces TLS.",
      controls: controls("Prowler glue_database_connections_ssl_enabled"),
      remedy: "Set JDBC_ENFORCE_SSL (or KAFKA_SSL_ENABLED) to true.",
      link: `${docs}/glue/latest/dg/connection-properties.html`,
      types: ["aws:glue/connection:Connection"],
    },
    (connection) => {
      const type = connection.text("connectionType") ?? "JDBC";
      const property = { JDBC: "JDBC_ENFORCE_SSL", KAFKA: "KAFKA_SSL_ENABLED" }[type];
      if (property === undefined) return notApplicable;
      const value = connection.text(`connectionProperties.${property}`);
      return value === "true" ? undefined : `${property} is ${value ?? "not set"}, not true`;
    },
  ),
  onResource(
    "apigateway-tls-policy",
    {
      ...base,
      title: "An API's own domain takes TLS 1.2 or later.",
      controls: controls("checkov 206"),
      remedy: "Set securityPolicy to TLS_1_2 or a SecurityPolicy_TLS13 one.",
      link: `${docs}/apigateway/latest/developerguide/apigateway-security-policies.html`,
      types: ["aws:apigateway/domainName:DomainName"],
    },
    (domain) => {
      const policy = domain.text("securityPolicy");
      return policy === "TLS_1_2" || policy?.startsWith("SecurityPolicy_TLS1") === true
        ? undefined
        : `securityPolicy is ${policy ?? "not set"}`;
    },
  ),
  onResource(
    "apigateway-https-integration",
    {
      ...base,
      title: "An API passes requests on over HTTPS only.",
      controls: controls("FSBP APIGateway.2"),
      remedy: "Use an https:// address or an AWS integration.",
      link: `${docs}/apigateway/latest/developerguide/setup-http-integrations.html`,
      types: ["aws:apigateway/integration:Integration"],
    },
    (integration) =>
      integration.text("uri")?.startsWith("http://") === true ? "uri is plain HTTP" : undefined,
    (integration) =>
      integration.flag("tlsConfig.insecureSkipVerification") === true
        ? "tlsConfig.insecureSkipVerification is true"
        : undefined,
  ),
  onStack(
    "s3-own-key-only",
    {
      ...base,
      category: "encryption at rest",
      severity: "medium",
      level: "advisory",
      title: "A bucket's policy denies uploads with another key.",
      controls: controls(),
      remedy: "Deny s3:PutObject where s3:x-amz-server-side-encryption-aws-kms-key-id is another.",
      link: `${docs}/AmazonS3/latest/userguide/UsingKMSEncryption.html`,
      types: ["aws:s3/bucket:Bucket"],
    },
    (bucket, stack) => {
      if (stack.attached("aws:s3/bucketLogging:BucketLogging", "targetBucket", bucket).length > 0) {
        return notApplicable;
      }
      const key = "s3:x-amz-server-side-encryption-aws-kms-key-id";
      const denies = stack
        .attached("aws:s3/bucketPolicy:BucketPolicy", "bucket", bucket)
        .flatMap((policy) => statementsOf(policy, "policy"))
        .some(
          ({ effect, actions, conditions }) =>
            effect === "Deny" &&
            actions.some((pattern) => matches(pattern, "s3:PutObject", true)) &&
            ["StringNotEquals", "StringNotEqualsIfExists", "ArnNotEquals", "ArnNotEqualsIfExists"].some(
              (operator) => conditions[operator]?.[key]?.every((value) => !value.includes("*")),
            ),
        );
      return denies ? undefined : "no statement denies s3:PutObject with another key";
    },
  ),
];
