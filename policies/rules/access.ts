import { isRecord, type Reader } from "../reader.ts";
import { type Defect, notApplicable, type Rule, stackType, unknown } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { controls, docs, isFalse, isOneOf, isTrue, keyDefect, onResource, onStack } from "./checks.ts";

const base = { category: "least privilege", severity: "high", level: "mandatory" } as const;

const functionType = "aws:lambda/function:Function";
const namespaceType = "aws:redshiftserverless/namespace:Namespace";
const rds = ["aws:rds/instance:Instance", "aws:rds/cluster:Cluster"];
const methodType = "aws:apigateway/method:Method";

/** What secrets look like; each pattern is one that its maker documents. */
const secretPatterns: readonly (readonly [what: string, pattern: RegExp])[] = [
  ["an AWS access key id", /\b(AKIA|ASIA)[0-9A-Z]{16}\b/],
  ["a private key", /-----BEGIN [A-Z ]*PRIVATE KEY-----/],
  ["a GitHub token", /\bgh[pousr]_[0-9A-Za-z]{36}/],
  ["a Slack token", /\bxox[abprs]-[0-9A-Za-z-]{10,}/],
  ["a JSON web token", /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\./],
  ["a password in an address", /\b[a-z][a-z0-9+]*:\/\/[^/\s:@]+:[^/\s:@]+@/i],
];

const secretName =
  /(^|[_\-.])(password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)$/i;

/** Whether a text is a reference to a secret, which tells nothing. */
const isReference = (value: string): boolean =>
  value === "" || /^(arn:|\/|\{\{resolve:|\{%|\$)/.test(value) || /^(true|false|\d{1,5})$/.test(value);

/** Secrets in a value, with where they stand; values themselves are never shown. */
function secretsIn(value: unknown, path: string): readonly Defect[] {
  if (value === unknown) return [];
  if (typeof value === "string") {
    const found = secretPatterns.find(([, pattern]) => pattern.test(value));
    if (found) return [{ detail: `Secret::${path}`, message: `${path} holds ${found[0]}` }];
    const name = path.match(/[^.[\]]+(?=(\[\d+\])?$)/)?.[0] ?? "";
    return secretName.test(name) && !isReference(value)
      ? [{ detail: `Secret::${path}`, message: `${path} is named like a secret and holds text` }]
      : [];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => secretsIn(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => secretsIn(item, `${path}.${key}`));
}

const arnAccount = /^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12}):/;

interface NamedArn {
  readonly path: string;
  readonly arn: string;
}

/** Properties that are documents of their own: rules on IAM read those. */
const documents: ReadonlySet<string> = new Set([
  "policy",
  "assumeRolePolicy",
  "inlinePolicies",
  "definition",
  "templateBody",
  "dashboardBody",
  "eventPattern",
]);

/** ARNs among a resource's inputs, those in documents left out. */
function arnsIn(value: unknown, path: string): readonly NamedArn[] {
  if (typeof value === "string") return value.startsWith("arn:") ? [{ path, arn: value }] : [];
  if (Array.isArray(value)) return value.flatMap((item, index) => arnsIn(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    path === "" && documents.has(key) ? [] : arnsIn(item, path === "" ? key : `${path}.${key}`),
  );
}

/** Whether a log group's ARN ends in the `:*` that its users demand. */
const withoutSuffix = (arn: string): string =>
  arn.includes(":log-group:") && arn.endsWith(":*") ? arn.slice(0, -2) : arn;

const passwordDefect = (resource: Reader, ...paths: readonly string[]): string | undefined => {
  const path = paths.find((each) => resource.has(each));
  return path && `${path} is set: the password is in the program's state`;
};

/** What a schema may refer to: a definition of its own, which is asked too, or a model, which is asked itself. */
const askedElsewhere =
  /^#\/definitions\/[^/]+$|^https:\/\/apigateway\.amazonaws\.com\/restapis\/[^/]+\/models\/[^/]+$/;

const closedTypes: readonly unknown[] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/** The schemas under a keyword that has an object of them, or a list. */
const schemasAt = (
  schema: Readonly<Record<string, unknown>>,
  keyword: string,
): readonly [string, unknown][] => {
  const value = schema[keyword];
  return isRecord(value) || Array.isArray(value) ? Object.entries(value) : [];
};

/**
 * What a schema in JSON (draft 4) leaves open in a value: its type, further properties or items, text without end,
 * nothing that must be there. What it says by keywords of its own, by allOf, anyOf and oneOf holds all at once, so
 * that one of them that is closed is enough.
 */
function openInSchema(schema: unknown, path: string): readonly Defect[] {
  if (!isRecord(schema)) return [{ detail: `Schema::${path}`, message: `${path} is no schema` }];
  const alternatives = ["anyOf", "oneOf"].flatMap((keyword) => {
    const schemas = schemasAt(schema, keyword);
    return schemas.length > 0
      ? [schemas.flatMap(([index, each]) => openInSchema(each, `${path}.${keyword}[${index}]`))]
      : [];
  });
  const together = [
    ...alternatives,
    ...schemasAt(schema, "allOf").map(([index, each]) => openInSchema(each, `${path}.allOf[${index}]`)),
  ];
  const isTyped = ["type", "enum", "$ref"].some((keyword) => schema[keyword] !== undefined);
  const parts = isTyped || together.length === 0 ? [openInKeywords(schema, path), ...together] : together;
  return [
    ...(parts.some((open) => open.length === 0) ? [] : parts.flat()),
    ...schemasAt(schema, "definitions").flatMap(([name, each]) =>
      openInSchema(each, `${path}.definitions.${name}`),
    ),
  ];
}

/** The same by a schema's own keywords, those that join schemas left out. */
function openInKeywords(schema: Readonly<Record<string, unknown>>, path: string): readonly Defect[] {
  const { $ref, type, maxLength, items } = schema;
  const open: Defect[] = [];
  const add = (what: string): void => {
    open.push({ detail: `Schema::${path}`, message: `${path} ${what}` });
  };
  if ($ref !== undefined) {
    if (typeof $ref !== "string" || !askedElsewhere.test($ref)) add("refers to what is not judged here");
    return open;
  }
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return open;
  const types = [type].flat();
  const isClosed = types.length > 0 && types.every((each) => closedTypes.includes(each));
  if (!isClosed) add("has no type of JSON, no enum and no $ref: every value is valid");
  if (types.includes("string") && !(typeof maxLength === "number" && maxLength >= 1 && maxLength <= 8192)) {
    add(
      `takes text of ${maxLength === undefined ? "any length" : `${maxLength} characters`}; allowed is 1 to 8192`,
    );
  }
  const properties = schemasAt(schema, "properties");
  if (types.includes("object")) {
    if (schema.additionalProperties !== false) add("takes properties that it does not name");
    if (!Array.isArray(schema.required) || schema.required.length === 0) add("demands no property");
    if (properties.length === 0) add("names no property");
    if (schema.patternProperties !== undefined) add("takes properties by a pattern of their names");
  }
  if (types.includes("array")) {
    if (items === undefined) add("takes any items");
    if (Array.isArray(items) && schema.additionalItems !== false) add("takes items that it does not list");
  }
  const inner = [
    ...properties.map(([name, each]) => [each, `${path}.${name}`] as const),
    ...(items === undefined ? [] : [items].flat().map((each) => [each, `${path}[]`] as const)),
  ];
  return [...open, ...inner.flatMap(([each, where]) => openInSchema(each, where))];
}

export const access: readonly Rule[] = [
  onStack(
    "reference-own-account",
    {
      ...base,
      title: "No resource refers to another account that is not trusted by name.",
      controls: controls(),
      remedy: "Refer to the stack's own account, or add the account to trustedAccounts with a reason.",
      link: `${docs}/IAM/latest/UserGuide/reference-arns.html`,
      types: [stackType],
      parameters: { trustedAccounts: [] },
    },
    (_, stack) => {
      const own = stack.account.accountId;
      if (own === undefined) return notApplicable;
      const trusted = [stack.parameter("trustedAccounts")].flat().map(String);
      return stack.resources.flatMap(({ urn, inputs }) =>
        arnsIn(inputs, "").flatMap(({ path, arn }): Defect[] => {
          const account = arn.match(arnAccount)?.[1];
          return account === undefined || account === own || trusted.includes(account)
            ? []
            : [{ urn, detail: `Account::${account}`, message: `${path} is in the account ${account}` }];
        }),
      );
    },
  ),
  onStack(
    "reference-exact",
    {
      ...base,
      severity: "medium",
      title: "An ARN outside policies names one thing: a wildcard there is taken for a letter, or for all.",
      controls: controls(),
      remedy: "Write the ARN in full.",
      link: `${docs}/IAM/latest/UserGuide/reference-arns.html`,
      types: [stackType],
    },
    (_, stack) =>
      stack.resources.flatMap(({ urn, inputs }) =>
        arnsIn(inputs, "").flatMap(({ path, arn }): Defect[] =>
          /[*?]/.test(withoutSuffix(arn))
            ? [{ urn, detail: `Property::${path}`, message: `${path} is ${arn}` }]
            : [],
        ),
      ),
  ),
  onResource(
    "lambda-no-secrets",
    {
      ...base,
      severity: "critical",
      title: "A function's environment and description hold no secret.",
      controls: controls("checkov 45"),
      remedy: "Keep it in Secrets Manager and read it there.",
      link: `${docs}/lambda/latest/dg/configuration-envvars.html`,
      types: [functionType],
    },
    (resource) => secretsIn(resource.raw("environment"), "environment"),
    (resource) => secretsIn(resource.raw("description"), "description"),
  ),
  onResource(
    "glue-no-secrets",
    {
      ...base,
      severity: "critical",
      title: "A job's arguments hold no secret: everybody who sees the job reads them.",
      controls: controls("Prowler glue_etl_jobs_no_secrets_in_arguments"),
      remedy: "Use a connection with SECRET_ID.",
      link: `${docs}/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html`,
      types: ["aws:glue/job:Job"],
    },
    (job) => secretsIn(job.raw("defaultArguments"), "defaultArguments"),
    (job) => secretsIn(job.raw("nonOverridableArguments"), "nonOverridableArguments"),
  ),
  onResource(
    "sfn-no-secrets",
    {
      ...base,
      severity: "critical",
      title: "A state machine's definition holds no secret.",
      controls: controls("Prowler stepfunctions_statemachine_no_secrets_in_definition"),
      remedy: "Read it in the task from Secrets Manager.",
      link: `${docs}/step-functions/latest/dg/security-best-practices.html`,
      types: ["aws:sfn/stateMachine:StateMachine"],
    },
    (machine) => secretsIn(machine.json("definition"), "definition"),
  ),
  onResource(
    "glue-connection-secret",
    {
      ...base,
      severity: "critical",
      title: "A connection takes its password from Secrets Manager.",
      controls: controls("Prowler glue_database_connections_no_password"),
      remedy: "Set SECRET_ID, and neither USERNAME nor PASSWORD.",
      link: `${docs}/glue/latest/dg/connection-properties-secrets-manager.html`,
      types: ["aws:glue/connection:Connection"],
    },
    (connection) => {
      const properties = connection.fields("connectionProperties");
      const found = ["PASSWORD", "ENCRYPTED_PASSWORD", "USERNAME"].find((name) => properties?.has(name));
      return found && `connectionProperties has ${found}`;
    },
    (connection) => {
      if ((connection.text("connectionType") ?? "JDBC") !== "JDBC") return notApplicable;
      const secret = connection.refersTo(
        "connectionProperties.SECRET_ID",
        "aws:secretsmanager/secret:Secret",
      );
      return secret ? undefined : "connectionProperties has no SECRET_ID";
    },
  ),
  onResource(
    "lambda-permission-source",
    {
      ...base,
      title: "A permission to call a function names who calls and for which account and resource.",
      controls: controls("checkov 301", "checkov 364", "FSBP Lambda.1"),
      remedy: "Set principal to one service, sourceArn, and sourceAccount where the ARN has none.",
      link: `${docs}/lambda/latest/dg/permissions-function-services.html`,
      types: ["aws:lambda/permission:Permission"],
    },
    (permission) => {
      const principal = permission.text("principal");
      return principal === undefined || principal.includes("*")
        ? `principal is ${principal ?? "not set"}`
        : undefined;
    },
    (permission) => (permission.has("sourceArn") ? undefined : "sourceArn is not set"),
    (permission) => {
      if (permission.has("sourceAccount")) return undefined;
      // A bucket's ARN has no account, so that another account could make a bucket of that name.
      const account = permission.text("sourceArn")?.split(":")[4] ?? "";
      return account === "" ? "sourceAccount is not set, and sourceArn has no account" : undefined;
    },
    (permission) => {
      const action = permission.text("action");
      return action === "lambda:InvokeFunction" ? undefined : `action is ${action ?? "not set"}`;
    },
  ),
  onResource(
    "lambda-url-authorised",
    {
      ...base,
      severity: "critical",
      title: "A function's address asks who calls.",
      controls: controls("checkov 258"),
      remedy: "Set authorizationType to AWS_IAM.",
      link: `${docs}/lambda/latest/dg/urls-auth.html`,
      types: ["aws:lambda/functionUrl:FunctionUrl"],
    },
    isOneOf("authorizationType", "AWS_IAM"),
  ),
  onResource(
    "lambda-code-signing",
    {
      ...base,
      level: "advisory",
      severity: "low",
      title: "A function takes signed code only.",
      controls: controls("checkov 272"),
      remedy: "Set codeSigningConfigArn.",
      link: `${docs}/lambda/latest/dg/configuration-codesigning.html`,
      types: [functionType],
    },
    (resource) => (resource.has("codeSigningConfigArn") ? undefined : "codeSigningConfigArn is not set"),
  ),
  onResource(
    "redshift-managed-password",
    {
      ...base,
      title: "The administrator's password of a warehouse is made and rotated by AWS.",
      controls: controls("FSBP RedshiftServerless.6"),
      remedy: "Set manageAdminPassword to true and leave adminUserPassword out.",
      link: `${docs}/redshift/latest/mgmt/redshift-secrets-manager-integration.html`,
      types: [namespaceType],
    },
    isTrue("manageAdminPassword"),
    (namespace) => passwordDefect(namespace, "adminUserPassword", "adminUserPasswordWo"),
  ),
  onResource(
    "redshift-admin-name",
    {
      ...base,
      severity: "medium",
      title: "The administrator of a warehouse has no name that everybody knows.",
      controls: controls("FSBP RedshiftServerless.4"),
      remedy: "Set adminUsername to a name of your own.",
      link: `${docs}/redshift/latest/mgmt/serverless-console-configure-namespace-working.html`,
      types: [namespaceType],
    },
    (namespace) => {
      const name = namespace.text("adminUsername")?.toLowerCase();
      return name === undefined || ["admin", "awsuser", "root", "administrator"].includes(name)
        ? `adminUsername is ${name ?? "not set: AWS takes admin"}`
        : undefined;
    },
  ),
  onResource(
    "redshift-database-name",
    {
      ...base,
      severity: "low",
      title: "The database of a warehouse has a name of its own.",
      controls: controls("FSBP RedshiftServerless.7"),
      remedy: "Set dbName to a name other than dev.",
      link: `${docs}/redshift/latest/mgmt/serverless-console-configure-namespace-working.html`,
      types: [namespaceType],
    },
    (namespace) => {
      const name = namespace.text("dbName");
      return name === undefined || name === "dev"
        ? `dbName is ${name ?? "not set: AWS takes dev"}`
        : undefined;
    },
  ),
  onStack(
    "rds-managed-password",
    {
      ...base,
      title: "The master password of a database is made and rotated by AWS.",
      controls: controls("Prowler rds_instance_integration_secrets_manager"),
      remedy: "Set manageMasterUserPassword to true and masterUserSecretKmsKeyId, and no password.",
      link: `${docs}/AmazonRDS/latest/UserGuide/rds-secrets-manager.html`,
      types: rds,
    },
    isTrue("manageMasterUserPassword"),
    (database) => passwordDefect(database, "password", "passwordWo", "masterPassword", "masterPasswordWo"),
    (database) => keyDefect(database, "masterUserSecretKmsKeyId"),
  ),
  onResource(
    "emr-serverless-no-interactive",
    {
      ...base,
      level: "prod",
      severity: "medium",
      title: "Nobody types commands into EMR Serverless.",
      controls: controls(),
      remedy: "Set interactiveConfiguration's studioEnabled and livyEndpointEnabled to false.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/interactive-workloads.html`,
      types: ["aws:emrserverless/application:Application"],
    },
    // Studio is on by default.
    isFalse("interactiveConfiguration.studioEnabled"),
    (application) =>
      application.flag("interactiveConfiguration.livyEndpointEnabled") === true
        ? "interactiveConfiguration.livyEndpointEnabled is true"
        : undefined,
  ),
  onResource(
    "apigateway-authorization",
    {
      ...base,
      severity: "critical",
      title: "Every method of an API asks who calls.",
      controls: controls("FSBP APIGateway.8", "checkov 59", "cdk-nag APIG4"),
      remedy: "Set authorization to AWS_IAM, CUSTOM or COGNITO_USER_POOLS, or apiKeyRequired for partners.",
      link: `${docs}/apigateway/latest/developerguide/apigateway-control-access-to-api.html`,
      types: [methodType],
    },
    (method) => {
      if (method.text("httpMethod") === "OPTIONS") return notApplicable;
      const authorization = method.text("authorization") ?? "NONE";
      return authorization === "NONE" ? "authorization is NONE" : undefined;
    },
    (method) => {
      const authorization = method.text("authorization") ?? "NONE";
      if (authorization !== "CUSTOM" && authorization !== "COGNITO_USER_POOLS") return notApplicable;
      return method.has("authorizerId") ? undefined : "authorizerId is not set";
    },
  ),
  onResource(
    "apigateway-validation",
    {
      ...base,
      severity: "medium",
      title: "An API checks requests before it passes them on.",
      controls: controls("cdk-nag APIG2"),
      remedy: "Set requestValidatorId, and for bodies requestModels.",
      link: `${docs}/apigateway/latest/developerguide/api-gateway-method-request-validation.html`,
      types: [methodType],
    },
    (method) => {
      if (method.text("httpMethod") === "OPTIONS") return notApplicable;
      return method.has("requestValidatorId") ? undefined : "requestValidatorId is not set";
    },
    (method) => {
      if (!["POST", "PUT", "PATCH"].includes(method.text("httpMethod") ?? "")) return notApplicable;
      return (method.fields("requestModels")?.keys.length ?? 0) > 0 ? undefined : "requestModels is not set";
    },
  ),
  onResource(
    "apigateway-validator-checks",
    {
      ...base,
      severity: "medium",
      title: "A request validator checks bodies and parameters.",
      controls: controls("cdk-nag APIG2"),
      remedy: "Set validateRequestBody and validateRequestParameters to true.",
      link: `${docs}/apigateway/latest/developerguide/api-gateway-method-request-validation.html`,
      types: ["aws:apigateway/requestValidator:RequestValidator"],
    },
    isTrue("validateRequestBody"),
    isTrue("validateRequestParameters"),
  ),
  onResource(
    "apigateway-model-closed",
    {
      ...base,
      severity: "medium",
      title: "A model says all that a body may hold, and how long its text may be.",
      controls: controls(),
      remedy:
        "Give every value a type, an enum or a $ref; objects additionalProperties false and required, lists items, and text maxLength of at most 8192, whatever its format.",
      link: `${docs}/apigateway/latest/developerguide/models-mappings-models.html`,
      types: ["aws:apigateway/model:Model"],
    },
    (model) => {
      const schema = model.json("schema");
      return isRecord(schema) ? openInSchema(schema, "schema") : "schema is not set: every body is valid";
    },
  ),
  onResource(
    "events-pattern-source",
    {
      ...base,
      severity: "medium",
      title: "A rule on events names who they come from, so that nobody else can set it off.",
      controls: controls(),
      remedy: "Name the source in eventPattern.",
      link: `${docs}/eventbridge/latest/userguide/eb-event-patterns.html`,
      types: ["aws:cloudwatch/eventRule:EventRule"],
    },
    (rule) => {
      if (rule.has("scheduleExpression") && !rule.has("eventPattern")) return notApplicable;
      const pattern = rule.json("eventPattern");
      const source = isRecord(pattern) ? pattern.source : undefined;
      return Array.isArray(source) && source.length > 0 && source.every((each) => typeof each === "string")
        ? undefined
        : "eventPattern names no source";
    },
  ),
  onResource(
    "peering-one-account",
    {
      ...base,
      severity: "medium",
      title: "A VPC is connected within the account only.",
      controls: controls(),
      remedy: "Leave peerOwnerId and peerRegion out.",
      link: `${docs}/vpc/latest/peering/vpc-peering-basics.html`,
      types: ["aws:ec2/vpcPeeringConnection:VpcPeeringConnection"],
    },
    (peering, stack: StackView) => {
      const owner = peering.text("peerOwnerId");
      return owner !== undefined && owner !== stack.account.accountId ? `peerOwnerId is ${owner}` : undefined;
    },
    (peering) => (peering.has("peerRegion") ? `peerRegion is ${peering.text("peerRegion")}` : undefined),
  ),
];
