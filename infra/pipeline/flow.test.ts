import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { renderDefinition } from "../../workflow/definition.ts";
import type { SparkJobNames } from "../../workflow/names.ts";
import { matches } from "../graph/event-pattern.ts";
import type { Graph } from "../graph/offline.ts";
import { fileArtifact, sha256 } from "../package/artifacts.ts";
import {
  functionDefaults,
  isRecord,
  keyArns,
  ofType,
  one,
  place,
  record,
  rightsOf,
  statementsOf,
} from "../testing.ts";
import { Access, Boundary, workloadActions } from "./access.ts";
import { AccountBaseline } from "./account-baseline.ts";
import { LowCode } from "./low-code.ts";
import { applicationPattern, jobPatterns, loadPattern, Monitoring } from "./monitoring.ts";
import { Warehouse, type WarehouseArgs } from "./warehouse.ts";
import { dropPattern, Workflow, type WorkflowArgs } from "./workflow.ts";

const bundle = fileArtifact(import.meta.filename);

const arn = (name: string): string => `arn:aws:lambda:eu-central-1:111122223333:function:shop-${name}`;
const functionArns = {
  plan: arn("plan"),
  verdict: arn("verdict"),
  renderLoad: arn("render-load"),
  commit: arn("commit"),
  abort: arn("abort"),
};
const jobNames = {
  extractMysql: "shop-extract-mysql",
  extractDynamodb: "shop-extract-dynamodb",
  csvToParquet: "shop-csv-to-parquet",
  stageRecipes: "shop-stage-recipes",
  clean: "shop-clean",
  quality: "shop-quality",
  publish: "shop-publish",
  curate: "shop-curate",
  export: "shop-export",
  maintain: "shop-maintain",
  rollback: "shop-rollback",
};
const workgroupArn = "arn:aws:redshift-serverless:eu-central-1:111122223333:workgroup/w";
const workflowArgs = (): WorkflowArgs => ({
  place,
  functionArns,
  jobNames,
  recipeJobs: { campaigns: "shop-campaigns" },
  landingBucket: "shop-landing",
  dropPrefixes: ["drops/campaigns/", "drops/transactions/"],
  tableArns: ["arn:aws:dynamodb:eu-central-1:111122223333:table/orders"],
  warehouse: { workgroupName: "shop", workgroupArn, database: "warehouse" },
  schedule: { expression: "cron(0 5 * * ? *)", timeZone: "Europe/Berlin" },
  dataKeyArn: keyArns.dataKeyArn,
  logsKeyArn: keyArns.logsKeyArn,
  failures: new aws.sqs.Queue("failures", { name: "shop-failures" }),
});

describe("Workflow", () => {
  it("deploys the very definition that the local run executes, logged, traced and encrypted", async () => {
    const graph = await record(() => new Workflow("shop", { ...workflowArgs(), logRetentionDays: 90 }));
    const machine = one(graph, "aws:sfn/stateMachine:StateMachine", "shop");
    expect(JSON.parse(String(machine.inputs.definition))).to.deep.equal(
      renderDefinition({
        partition: "aws",
        functions: functionArns,
        jobs: jobNames,
        recipeJobs: { campaigns: "shop-campaigns" },
        landingBucket: "shop-landing",
        exportKeyArn: keyArns.dataKeyArn,
        warehouse: { workgroup: "shop", database: "warehouse" },
      }),
    );
    expect({ ...machine.inputs, definition: "" }).to.deep.equal({
      name: "shop",
      type: "STANDARD",
      definition: "",
      roleArn: "arn:aws:iam::111122223333:role/shop-workflow",
      loggingConfiguration: {
        level: "ALL",
        includeExecutionData: true,
        logDestination: "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/vendedlogs/states/shop:*",
      },
      tracingConfiguration: { enabled: true },
      encryptionConfiguration: {
        type: "CUSTOMER_MANAGED_KMS_KEY",
        kmsKeyId: keyArns.dataKeyArn,
        kmsDataKeyReusePeriodSeconds: 900,
      },
    });
    const policies = ofType(graph, "aws:iam/rolePolicy:RolePolicy").filter(
      ({ inputs }) => inputs.role === "shop-workflow",
    );
    expect(machine.dependencies, "its rights come first").to.include.members(policies.map(({ urn }) => urn));
    expect(one(graph, "aws:cloudwatch/logGroup:LogGroup", "shop-workflow").inputs.retentionInDays).to.equal(
      90,
    );
  });

  it("starts on a schedule with a time zone, retried, its failures kept", async () => {
    const graph = await record(() => new Workflow("shop", workflowArgs()));
    const { inputs } = one(graph, "aws:scheduler/schedule:Schedule", "shop-run");
    expect(inputs).to.deep.include({
      scheduleExpression: "cron(0 5 * * ? *)",
      scheduleExpressionTimezone: "Europe/Berlin",
      state: "ENABLED",
      groupName: "shop",
      flexibleTimeWindow: { mode: "OFF" },
    });
    expect(inputs.target).to.deep.equal({
      arn: "arn:aws:states:eu-central-1:111122223333:stateMachine:shop",
      roleArn: "arn:aws:iam::111122223333:role/shop-start-schedule",
      input: "{}",
      deadLetterConfig: { arn: "arn:aws:sqs:eu-central-1:111122223333:shop-failures" },
      retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts: 5 },
    });
    const off = await record(() => {
      const args = workflowArgs();
      return new Workflow("shop", { ...args, schedule: { ...args.schedule, enabled: false } });
    });
    expect(one(off, "aws:scheduler/schedule:Schedule", "shop-run").inputs.state).to.equal("DISABLED");
  });

  it("starts on a drop through EventBridge with a role of its own and a dead-letter queue", async () => {
    const graph = await record(() => new Workflow("shop", workflowArgs()));
    const target = one(graph, "aws:cloudwatch/eventTarget:EventTarget", "shop-drop").inputs;
    expect(target).to.deep.include({
      rule: "shop-drop",
      arn: "arn:aws:states:eu-central-1:111122223333:stateMachine:shop",
      roleArn: "arn:aws:iam::111122223333:role/shop-start-drop",
      deadLetterConfig: { arn: "arn:aws:sqs:eu-central-1:111122223333:shop-failures" },
    });
    const start = rightsOf(graph, "shop-start-drop").find(({ Sid }) => Sid === "StartRuns");
    expect(start?.resources).to.deep.equal(["arn:aws:states:eu-central-1:111122223333:stateMachine:shop"]);
  });

  it("is started by its schedule alone where no dataset comes as files", async () => {
    const graph = await record(() => new Workflow("shop", { ...workflowArgs(), dropPrefixes: [] }));
    expect(ofType(graph, "aws:cloudwatch/eventRule:EventRule")).to.deep.equal([]);
    expect(ofType(graph, "aws:scheduler/schedule:Schedule")).to.have.length(1);
  });

  it("permits every task of the definition, by its resource, and no job or function beyond", async () => {
    const graph = await record(() => new Workflow("shop", workflowArgs()));
    const rights = rightsOf(graph, "shop-workflow");
    const allowed = (action: string): string[] =>
      rights.filter(({ actions }) => actions.includes(action)).flatMap(({ resources }) => resources);
    expect(allowed("lambda:InvokeFunction")).to.have.members(Object.values(functionArns));
    const jobArns = Object.values(jobNames).map((job) => `arn:aws:glue:eu-central-1:111122223333:job/${job}`);
    for (const action of ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"]) {
      expect(allowed(action), action).to.have.members(jobArns);
    }
    expect(allowed("databrew:StartJobRun")).to.deep.equal([
      "arn:aws:databrew:eu-central-1:111122223333:job/shop-campaigns",
    ]);
    expect(allowed("redshift-data:BatchExecuteStatement")).to.deep.equal([workgroupArn]);
    expect(allowed("dynamodb:ExportTableToPointInTime")).to.deep.equal([
      "arn:aws:dynamodb:eu-central-1:111122223333:table/orders",
    ]);
    expect(allowed("dynamodb:DescribeExport")).to.deep.equal([
      "arn:aws:dynamodb:eu-central-1:111122223333:table/orders/export/*",
    ]);
    expect(allowed("states:StartExecution")).to.deep.equal([
      "arn:aws:states:eu-central-1:111122223333:stateMachine:shop",
    ]);
    // What scores is permitted below. Every other kind of task in the definition has its right above.
    expect(allowed("emr-serverless:StartJobRun")).to.deep.equal([]);
    const machine = one(graph, "aws:sfn/stateMachine:StateMachine", "shop");
    const kinds = new Set(
      [...String(machine.inputs.definition).matchAll(/"arn:aws:states:::([a-zA-Z0-9:.-]+)"/g)].map(
        ([, kind]) => kind,
      ),
    );
    expect([...kinds]).to.have.members([
      "lambda:invoke",
      "glue:startJobRun.sync",
      "databrew:startJobRun.sync",
      "states:startExecution",
      "aws-sdk:dynamodb:exportTableToPointInTime",
      "aws-sdk:dynamodb:describeExport",
      "aws-sdk:redshiftdata:batchExecuteStatement",
      "aws-sdk:redshiftdata:describeStatement",
    ]);
  });
});

describe("Workflow with a job that scores", () => {
  const scoring: SparkJobNames = {
    applicationId: "00f1",
    executionRoleArn: "arn:aws:iam::111122223333:role/shop-fraud-score",
    entryPoint: "s3://shop-artifacts/code/1/fraud_score.py",
    arguments: { "--landing": "shop-landing" },
    sparkSubmitParameters: "--conf spark.jars=x",
  };
  const application = "arn:aws:emr-serverless:eu-central-1:111122223333:/applications/00f1";
  const deploy = () =>
    record(() => new Workflow("shop", { ...workflowArgs(), fraud: pulumi.output(scoring) }));

  it("runs it as the definition says", async () => {
    const machine = one(await deploy(), "aws:sfn/stateMachine:StateMachine", "shop");
    const { States } = JSON.parse(String(machine.inputs.definition)) as { States: Record<string, unknown> };
    expect(States.ScoreFraud).to.have.nested.property(
      "Resource",
      "arn:aws:states:::emr-serverless:startJobRun.sync",
    );
    expect(States.ScoreFraud).to.have.nested.property("Arguments.ExecutionRoleArn", scoring.executionRoleArn);
    expect(States.Curate).to.have.property("Next", "ScoreFraud");
  });

  it("may start, follow and cancel its runs, hand over its role, hear of its end and use its keys", async () => {
    const policy = one(await deploy(), "aws:iam/rolePolicy:RolePolicy", "shop-workflow-fraud");
    const statements = statementsOf(policy.inputs.policy).map(({ actions, resources, Condition }) => [
      actions,
      resources,
      ...(Condition ? [Condition.StringEquals] : []),
    ]);
    const use = ["kms:Decrypt", "kms:GenerateDataKey"];
    const through = "emr-serverless.eu-central-1.amazonaws.com";
    expect(statements).to.deep.equal([
      [["emr-serverless:StartJobRun"], [application]],
      [["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"], [`${application}/jobruns/*`]],
      [
        ["iam:PassRole"],
        [scoring.executionRoleArn],
        { "iam:PassedToService": "emr-serverless.amazonaws.com" },
      ],
      [
        ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
        ["arn:aws:events:eu-central-1:111122223333:rule/StepFunctionsGetEventsForEMRServerlessJobRule"],
      ],
      [["kms:DescribeKey"], [keyArns.dataKeyArn, keyArns.logsKeyArn]],
      [use, [keyArns.dataKeyArn], { "kms:EncryptionContext:pipeline": "shop", "kms:ViaService": through }],
      [use, [keyArns.logsKeyArn], { "kms:ViaService": [through] }],
    ]);
  });
});

describe("event patterns", () => {
  const drop = {
    version: "0",
    source: "aws.s3",
    "detail-type": "Object Created",
    detail: {
      bucket: { name: "shop-landing" },
      object: { key: "drops/transactions/a.csv", size: 1 },
      reason: "PutObject",
    },
  };
  it("of a drop match it, and none that is beside the mark", async () => {
    const graph = await record(() => new Workflow("shop", workflowArgs()));
    const pattern: unknown = JSON.parse(
      String(one(graph, "aws:cloudwatch/eventRule:EventRule", "shop-drop").inputs.eventPattern),
    );
    expect(pattern).to.deep.equal(dropPattern("shop-landing", ["drops/campaigns/", "drops/transactions/"]));
    expect(matches(pattern, drop)).to.equal(true);
    const misses = [
      { ...drop, source: "aws.s3control" },
      { ...drop, "detail-type": "Object Deleted" },
      { ...drop, detail: { ...drop.detail, bucket: { name: "shop-landing-2" } } },
      { ...drop, detail: { ...drop.detail, object: { key: "batches/transactions/a.parquet" } } },
      { ...drop, detail: { ...drop.detail, object: { key: "x/drops/transactions/a.csv" } } },
      { ...drop, detail: { ...drop.detail, object: { key: "drops/api-logs/a.log" } } },
    ];
    for (const miss of misses) expect(matches(pattern, miss), JSON.stringify(miss)).to.equal(false);
  });

  it("of a failed and of a slow job match theirs", () => {
    const { failed, slow } = jobPatterns(["shop-clean"]);
    const event = (type: string, jobName: string, state: string): object => ({
      source: "aws.glue",
      "detail-type": type,
      detail: { jobName, state, jobRunId: "jr_1", severity: "ERROR", message: "boom" },
    });
    for (const state of ["FAILED", "TIMEOUT", "STOPPED"]) {
      expect(matches(failed, event("Glue Job State Change", "shop-clean", state)), state).to.equal(true);
    }
    expect(matches(failed, event("Glue Job State Change", "shop-clean", "SUCCEEDED"))).to.equal(false);
    expect(matches(failed, event("Glue Job State Change", "other-clean", "FAILED"))).to.equal(false);
    expect(matches(slow, event("Glue Job Run Status", "shop-clean", "RUNNING"))).to.equal(true);
    expect(matches(slow, event("Glue Job State Change", "shop-clean", "RUNNING"))).to.equal(false);
  });

  it("of a failed job on EMR Serverless match it, and none of another application or state", async () => {
    const graph = await record(
      () =>
        new Monitoring("shop", {
          place,
          logsKeyArn: keyArns.logsKeyArn,
          watched: {
            jobs: [],
            functions: {},
            machines: [],
            failureQueues: [],
            workgroups: [],
            applications: { fraud: { name: "shop-fraud", id: "00f1982r1uukb925", slowAfterMinutes: 45 } },
          },
          monthlyBudgetUsd: 1,
        }),
    );
    const rule = one(graph, "aws:cloudwatch/eventRule:EventRule", "shop-spark-failed");
    const pattern: unknown = JSON.parse(String(rule.inputs.eventPattern));
    expect(pattern).to.deep.equal(applicationPattern(["00f1982r1uukb925"]));
    // As the user guide of EMR Serverless has it, "Job run state change event".
    const event = {
      version: "0",
      "detail-type": "EMR Serverless Job Run State Change",
      source: "aws.emr-serverless",
      resources: [],
      detail: {
        jobRunId: "00f1cbn5g4bb0c01",
        applicationId: "00f1982r1uukb925",
        releaseLabel: "emr-7.13.0",
        state: "FAILED",
        previousState: "RUNNING",
      },
    };
    expect(matches(pattern, event)).to.equal(true);
    expect(matches(pattern, { ...event, detail: { ...event.detail, state: "CANCELLED" } })).to.equal(true);
    const misses = [
      ...["SUBMITTED", "SCHEDULED", "RUNNING", "SUCCESS", "CANCELLING"].map((state) => ({
        ...event,
        detail: { ...event.detail, state },
      })),
      { ...event, detail: { ...event.detail, applicationId: "00f1982r1uukb926" } },
      { ...event, "detail-type": "EMR Serverless Application State Change" },
      { ...event, "detail-type": "EMR Serverless Job Run Retry" },
      { ...event, source: "aws.emr" },
    ];
    for (const miss of misses) expect(matches(pattern, miss), JSON.stringify(miss)).to.equal(false);
    expect(one(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", "shop-fraud-slow").inputs).to.deep.include({
      namespace: "AWS/EMRServerless",
      metricName: "RunningJobs",
      dimensions: { ApplicationId: "00f1982r1uukb925", ApplicationName: "shop-fraud" },
      statistic: "Minimum",
      period: 300,
      evaluationPeriods: 9,
      datapointsToAlarm: 9,
      comparisonOperator: "GreaterThanThreshold",
      threshold: 0,
    });
    expect(one(graph, "aws:cloudwatch/dashboard:Dashboard", "shop").inputs.dashboardBody).to.contain(
      '"RunningJobs","ApplicationId","00f1982r1uukb925","ApplicationName","shop-fraud"',
    );
  });

  it("of a failed load match it alone", () => {
    const event = (statementName: string, state: string): object => ({
      source: "aws.redshift-data",
      "detail-type": "Redshift Data Statement Status Change",
      detail: { statementName, state },
    });
    expect(matches(loadPattern(), event("load-orders-1", "FAILED"))).to.equal(true);
    expect(matches(loadPattern(), event("load-orders-1", "FINISHED"))).to.equal(false);
    expect(matches(loadPattern(), event("report", "FAILED"))).to.equal(false);
  });
});

describe("LowCode", () => {
  const stepsJson = '[{"Action":{"Operation":"UPPER_CASE","Parameters":{"sourceColumn":"channel"}}}]';
  const deploy = (steps = stepsJson) =>
    new LowCode("shop", {
      place,
      datasets: [{ dataset: "campaigns", recipe: "campaigns", stepsJson: steps }],
      landingBucket: "shop-landing",
      dataKeyArn: keyArns.dataKeyArn,
      logsKeyArn: keyArns.logsKeyArn,
      functionDefaults: functionDefaults(),
      publishBundle: bundle,
      maxNodes: 3,
      timeoutMinutes: 45,
    });
  const template = (
    inputs: Readonly<Record<string, unknown>>,
  ): Record<string, { Properties: Record<string, unknown> }> =>
    (
      JSON.parse(String(inputs.templateBody)) as {
        Resources: Record<string, { Properties: Record<string, unknown> }>;
      }
    ).Resources;

  it("deploys the recipe's own file, publishes it, and pins the job to that version", async () => {
    const graph = await record(() => deploy());
    const recipe = one(graph, "aws:cloudformation/stack:Stack", "shop-campaigns-recipe");
    expect(template(recipe.inputs).Recipe?.Properties.Steps).to.deep.equal(JSON.parse(stepsJson));
    expect(template(recipe.inputs).Dataset?.Properties.Input).to.deep.equal({
      S3InputDefinition: { Bucket: "shop-landing", Key: "recipes/campaigns/in/" },
    });
    const publish = one(graph, "aws:lambda/invocation:Invocation", "shop-campaigns-publish");
    expect(publish.dependencies).to.include(recipe.urn);
    const job = one(graph, "aws:cloudformation/stack:Stack", "shop-campaigns-recipe-job");
    expect(job.dependencies).to.include(publish.urn);
    expect(template(job.inputs).Job?.Properties).to.deep.equal({
      Name: `shop-campaigns-${sha256(stepsJson).slice(0, 8)}`,
      Type: "RECIPE",
      DatasetName: "shop-campaigns",
      Recipe: { Name: "shop-campaigns", Version: "1.0" },
      RoleArn: "arn:aws:iam::111122223333:role/shop-recipes",
      EncryptionMode: "SSE-KMS",
      EncryptionKeyArn: keyArns.dataKeyArn,
      LogSubscription: "ENABLE",
      MaxCapacity: 3,
      MaxRetries: 0,
      Timeout: 45,
      Outputs: [
        {
          Location: { Bucket: "shop-landing", Key: "recipes/campaigns/out/" },
          Format: "PARQUET",
          CompressionFormat: "SNAPPY",
          Overwrite: true,
        },
      ],
    });
  });

  it("makes another job of a recipe with other steps, and tells the workflow its name", async () => {
    const deployed = async (steps: string): Promise<string[]> => {
      const graph = await record(() => ({ job: deploy(steps).jobNames.campaigns }));
      const job = one(graph, "aws:cloudformation/stack:Stack", "shop-campaigns-recipe-job");
      const group = one(graph, "aws:cloudwatch/logGroup:LogGroup", "shop-campaigns-recipe");
      return [template(job.inputs).Job?.Properties.Name, group.inputs.name, graph.outputs.job].map(String);
    };
    const before = await deployed(stepsJson);
    const after = await deployed(stepsJson.replace("UPPER_CASE", "LOWER_CASE"));
    expect(before.filter((each) => after.includes(each))).to.deep.equal([]);
    for (const [name = "", group, told] of [before, after]) {
      expect([group, told]).to.deep.equal([`/aws-glue-databrew/jobs/${name}`, name]);
    }
    expect(await deployed(stepsJson)).to.deep.equal(before);
  });

  it("lets recipe jobs read their input and write their output only", async () => {
    const graph = await record(() => deploy());
    const written = rightsOf(graph, "shop-recipes").filter(({ actions }) => actions.includes("s3:PutObject"));
    expect(written.flatMap(({ resources }) => resources)).to.deep.equal([
      "arn:aws:s3:::shop-landing/recipes/campaigns/out/*",
    ]);
  });
});

const warehouseArgs = (): WarehouseArgs => ({
  place,
  ...keyArns,
  subnetIds: ["subnet-1", "subnet-2", "subnet-3"],
  securityGroupId: "sg-2",
  curatedBucket: "shop-curated",
  biPrincipals: ["arn:aws:iam::111122223333:role/analysts"],
  loaderRoles: ["shop-workflow"],
  contracts: { bucket: "shop-artifacts", key: "contracts.json", hashes: { contracts: "abc" } },
  functionDefaults: functionDefaults(),
  migrateBundle: bundle,
});

describe("Warehouse", () => {
  it("is private, encrypted, TLS only, its password managed, its use limited", async () => {
    const graph = await record(
      () =>
        new Warehouse("shop", {
          ...warehouseArgs(),
          baseCapacity: 16,
          maxCapacity: 32,
          monthlyRpuHours: 77,
          atLimit: "log",
          maxQuerySeconds: 60,
        }),
    );
    const namespace = one(graph, "aws:redshiftserverless/namespace:Namespace", "shop");
    expect(namespace.inputs).to.deep.equal({
      namespaceName: "shop",
      dbName: "warehouse",
      adminUsername: "warehouse_admin",
      manageAdminPassword: true,
      adminPasswordSecretKmsKeyId: keyArns.secretsKeyArn,
      kmsKeyId: keyArns.dataKeyArn,
      iamRoles: ["arn:aws:iam::111122223333:role/shop-copy"],
      defaultIamRoleArn: "arn:aws:iam::111122223333:role/shop-copy",
      logExports: ["connectionlog", "useractivitylog", "userlog"],
    });
    expect(namespace).to.deep.include({ protect: true, retainOnDelete: true });
    const workgroup = one(graph, "aws:redshiftserverless/workgroup:Workgroup", "shop");
    expect(workgroup.ignoreChanges).to.deep.equal(["configParameters"]);
    expect(workgroup.inputs).to.deep.equal({
      workgroupName: "shop",
      namespaceName: "shop",
      baseCapacity: 16,
      maxCapacity: 32,
      enhancedVpcRouting: true,
      publiclyAccessible: false,
      subnetIds: ["subnet-1", "subnet-2", "subnet-3"],
      securityGroupIds: ["sg-2"],
      configParameters: [
        { parameterKey: "require_ssl", parameterValue: "true" },
        { parameterKey: "max_query_execution_time", parameterValue: "60" },
      ],
    });
    expect(one(graph, "aws:redshiftserverless/usageLimit:UsageLimit", "shop-compute").inputs).to.deep.include(
      {
        usageType: "serverless-compute",
        period: "monthly",
        amount: 77,
        breachAction: "log",
      },
    );
  });

  it("migrates schema and grants at deployment, IAM users before grants, BI through one role", async () => {
    const graph = await record(() => new Warehouse("shop", warehouseArgs()));
    const { inputs } = one(graph, "aws:lambda/invocation:Invocation", "shop-migrate-warehouse");
    const input = JSON.parse(String(inputs.input)) as Record<string, unknown>;
    expect(input).to.deep.include({
      contracts: { bucket: "shop-artifacts", key: "contracts.json" },
      workgroup: "shop",
      database: "warehouse",
      members: { loader: ["IAMR:shop-workflow"], bi_reader: ["IAMR:shop-bi"] },
    });
    expect(input.secretArn).to.match(/^arn:aws:secretsmanager:.*:secret:redshift!shop-admin-/);
    const trust = statementsOf(one(graph, "aws:iam/role:Role", "shop-bi").inputs.assumeRolePolicy)[0];
    expect(trust?.Principal).to.deep.equal({ AWS: ["arn:aws:iam::111122223333:role/analysts"] });
    const secrets = ["shop-bi", "shop-copy"].filter((role) =>
      rightsOf(graph, role).some(({ actions }) => actions.includes("secretsmanager:GetSecretValue")),
    );
    expect(secrets, "only the migration reads the administrator's password").to.deep.equal([]);
  });

  it("has no BI role while nobody is named", async () => {
    const graph = await record(() => new Warehouse("shop", { ...warehouseArgs(), biPrincipals: [] }));
    expect(ofType(graph, "aws:iam/role:Role").map(({ name }) => name)).not.to.include("shop-bi");
  });
});

describe("Access", () => {
  it("bounds every role by account, region and a list of actions", async () => {
    const graph = await record(() => new Boundary("shop", { place }));
    const [statement] = statementsOf(one(graph, "aws:iam/policy:Policy", "shop-boundary").inputs.policy);
    expect(statement?.actions).to.deep.equal(workloadActions);
    expect(statement?.Condition).to.deep.equal({
      StringEqualsIfExists: { "aws:RequestedRegion": "eu-central-1", "aws:ResourceAccount": "111122223333" },
    });
    expect(ofType(graph, "aws:iam/role:Role")).to.deep.equal([]);
  });

  it("lets CI change the REST API and the application of this pipeline, by their tag", async () => {
    const graph = await record(
      () =>
        new Access("shop", {
          place,
          boundaryArn: pulumi.output("arn:aws:iam::111122223333:policy/shop-boundary"),
          deploy: {
            repository: "o/r",
            environment: "prod",
            providerArn: "arn:aws:iam::111122223333:oidc-provider/x",
          },
        }),
    );
    const by = (sid: string) => rightsOf(graph, "shop-deploy").find(({ Sid }) => Sid === sid);
    expect(by("RestApi")).to.deep.include({
      resources: ["arn:aws:apigateway:eu-central-1::/restapis/*"],
      Condition: { StringEquals: { "aws:ResourceTag/pipeline": "shop" } },
    });
    expect(by("SparkApplications")).to.deep.include({
      resources: ["arn:aws:emr-serverless:eu-central-1:111122223333:/applications/*"],
      Condition: { StringEquals: { "aws:ResourceTag/pipeline": "shop" } },
    });
    expect(by("CreateTaggedApplications")).to.deep.include({
      actions: ["emr-serverless:CreateApplication"],
      Condition: { StringEquals: { "aws:RequestTag/pipeline": "shop" } },
    });
  });

  it("gives CI its rights in managed policies, which it may read and not change", async () => {
    const boundaryArn = "arn:aws:iam::111122223333:policy/shop-boundary";
    const graph = await record(
      () =>
        new Access("shop", {
          place,
          boundaryArn: pulumi.output(boundaryArn),
          deploy: {
            repository: "o/r",
            environment: "prod",
            providerArn: "arn:aws:iam::111122223333:oidc-provider/x",
          },
        }),
    );
    const arns = ofType(graph, "aws:iam/rolePolicyAttachment:RolePolicyAttachment").map(
      ({ inputs }) => inputs.policyArn,
    );
    expect(arns).to.have.members(
      ["events", "identity", "platform", "processing", "storage"].map(
        (topic) => `arn:aws:iam::111122223333:policy/shop-deploy-${topic}`,
      ),
    );
    expect(ofType(graph, "aws:iam/rolePolicy:RolePolicy")).to.deep.equal([]);
    const rights = rightsOf(graph, "shop-deploy");
    expect(rights.find(({ Sid }) => Sid === "ReadPolicies")).to.deep.include({
      actions: ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"],
      resources: [boundaryArn, "arn:aws:iam::111122223333:policy/shop-deploy-*"],
    });
    // Of policies it writes a role's inline ones alone, and those under the boundary, which it does not have.
    const writes = rights.filter(({ actions }) =>
      actions.some((action) => /^iam:(?!Get|List).*Polic(y|ies)/.test(action)),
    );
    expect(writes.map(({ Sid }) => Sid)).to.deep.equal(["BoundedRoles"]);
    expect(writes[0]?.actions.filter((action) => action.includes("Policy"))).to.deep.equal([
      "iam:DeleteRolePolicy",
      "iam:PutRolePolicy",
    ]);
    expect(writes[0]?.Condition).to.deep.equal({ StringEquals: { "iam:PermissionsBoundary": boundaryArn } });
    expect(one(graph, "aws:iam/role:Role", "shop-deploy").inputs).not.to.have.property("permissionsBoundary");
  });

  it("lets one repository and environment deploy, and make roles with the boundary only", async () => {
    const deploy = {
      repository: "shop/etl",
      environment: "prod",
      providerArn: "arn:aws:iam::111122223333:oidc-provider/x",
    };
    const graph = await record(() => {
      const { arn } = new Boundary("shop", { place });
      new Access("shop", { place, boundaryArn: arn, deploy });
    });
    const trust = statementsOf(one(graph, "aws:iam/role:Role", "shop-deploy").inputs.assumeRolePolicy)[0];
    expect(trust?.Condition).to.deep.equal({
      StringEquals: {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:shop/etl:environment:prod",
      },
    });
    const create = rightsOf(graph, "shop-deploy").filter(({ actions }) => actions.includes("iam:CreateRole"));
    expect(create).to.have.length(1);
    expect(create[0]?.Condition).to.deep.equal({
      StringEquals: { "iam:PermissionsBoundary": "arn:aws:iam::111122223333:policy/shop-boundary" },
    });
  });
});

describe("AccountBaseline", () => {
  it("makes the account's settings in one stack and adopts them in the others", async () => {
    const created = await record(
      () => new AccountBaseline("shop", { place, mode: "create", dataKeyArn: keyArns.dataKeyArn }),
    );
    const settings = one(
      created,
      "aws:glue/dataCatalogEncryptionSettings:DataCatalogEncryptionSettings",
      "shop-catalog",
    );
    expect(settings.inputs.dataCatalogEncryptionSettings).to.deep.equal({
      connectionPasswordEncryption: {
        awsKmsKeyId: keyArns.dataKeyArn,
        returnConnectionPasswordEncrypted: true,
      },
      encryptionAtRest: {
        catalogEncryptionMode: "SSE-KMS-WITH-SERVICE-ROLE",
        catalogEncryptionServiceRole: "arn:aws:iam::111122223333:role/shop-catalog",
        sseAwsKmsKeyId: keyArns.dataKeyArn,
      },
    });
    // The settings take effect at once, for every stack of the account: the role has its rights before.
    expect(settings.dependencies).to.include(
      one(created, "aws:iam/rolePolicy:RolePolicy", "shop-catalog-key").urn,
    );
    expect(rightsOf(created, "shop-catalog")).to.have.length(1);
    expect(rightsOf(created, "shop-catalog")[0]).to.deep.include({
      actions: ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
      resources: [keyArns.dataKeyArn],
    });
    const adopted = await record(() => ({
      provider: new AccountBaseline("shop", { place, mode: "adopt", dataKeyArn: keyArns.dataKeyArn })
        .githubProviderArn,
    }));
    expect(adopted.resources.filter(({ custom }) => custom)).to.deep.equal([]);
    expect(adopted.outputs.provider).to.equal(
      "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com",
    );
  });
});

describe("AccountBaseline where the account trusts GitHub already", () => {
  it("finds that trust and makes the other settings", async () => {
    const baseline = (githubProvider: "create" | "adopt") =>
      record(() => ({
        provider: new AccountBaseline("shop", {
          place,
          mode: "create",
          dataKeyArn: keyArns.dataKeyArn,
          githubProvider,
        }).githubProviderArn,
      }));
    const [made, found] = [await baseline("create"), await baseline("adopt")];
    expect(found.outputs.provider).to.equal(made.outputs.provider);
    const types = (graph: Graph) => graph.resources.map(({ type }) => type).toSorted();
    expect(types(made).filter((type) => !types(found).includes(type))).to.deep.equal([
      "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    ]);
  });
});

describe("Monitoring", () => {
  const watch = (more: object = {}) =>
    new Monitoring("shop", {
      place,
      logsKeyArn: keyArns.logsKeyArn,
      watched: {
        jobs: ["shop-clean"],
        functions: { plan: "shop-plan" },
        machines: [{ name: "shop", arn: "arn:aws:states:eu-central-1:111122223333:stateMachine:shop" }],
        failureQueues: ["shop-failures"],
        workgroups: ["shop"],
      },
      emails: ["a@example.com"],
      monthlyBudgetUsd: 42,
      slowRunMinutes: 90,
      ...more,
    });

  it("raises every alarm to the topic and says what silence means", async () => {
    const graph = await record(() => watch());
    const alarms = ofType(graph, "aws:cloudwatch/metricAlarm:MetricAlarm");
    expect(alarms.map(({ name }) => name)).to.have.members([
      "shop-failures",
      "shop-plan-errors",
      "shop-plan-throttles",
      "shop-warehouse-queries-failed",
      "shop-workflow-failed",
      "shop-workflow-slow",
      "shop-workflow-timed-out",
    ]);
    for (const { name, inputs } of alarms) {
      expect(inputs.alarmActions, name).to.deep.equal(["arn:aws:sns:eu-central-1:111122223333:shop-alerts"]);
      expect(inputs.treatMissingData, name).to.equal("notBreaching");
      expect(inputs.alarmDescription, name).to.be.a("string").and.not.equal("");
    }
    expect(
      one(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", "shop-workflow-slow").inputs.threshold,
    ).to.equal(90 * 60_000);
  });

  it("counts failed queries of the warehouse over every kind, since Redshift has no sum of them", async () => {
    const graph = await record(() => watch());
    const { inputs } = one(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", "shop-warehouse-queries-failed");
    expect(inputs.metricQueries).to.deep.equal([
      {
        id: "failed",
        expression:
          'SELECT SUM(QueriesFailed) FROM SCHEMA("AWS/Redshift-Serverless", QueryType, Workgroup) ' +
          "WHERE Workgroup = 'shop'",
        period: 300,
        returnData: true,
      },
    ]);
    // AWS refuses an alarm that has both a query and a metric of its own.
    for (const own of ["metricName", "namespace", "dimensions", "statistic", "period"])
      expect(inputs, own).not.to.have.property(own);
  });

  it("counts words in a log and tells of them once, as long as a run a day writes them", async () => {
    const logGroupName = "/aws/emr-serverless/shop-fraud";
    const message = { logGroupName, words: "ALL IS LOST", description: "Find it." };
    const nothing = { jobs: [], functions: {}, machines: [], failureQueues: [], workgroups: [] };
    const graph = await record(() => watch({ watched: { ...nothing, messages: { lost: message } } }));
    expect(one(graph, "aws:cloudwatch/logMetricFilter:LogMetricFilter", "shop-lost").inputs).to.deep.equal({
      name: "shop-lost",
      logGroupName,
      pattern: '"ALL IS LOST"',
      metricTransformation: { namespace: "SecureCart", name: "shop-lost", value: "1" },
    });
    const { inputs } = one(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", "shop-lost");
    expect(inputs).to.deep.equal({
      name: "shop-lost",
      alarmDescription: "Find it.",
      namespace: "SecureCart",
      metricName: "shop-lost",
      statistic: "Sum",
      comparisonOperator: "GreaterThanThreshold",
      threshold: 0,
      period: 3600,
      evaluationPeriods: 30,
      datapointsToAlarm: 1,
      treatMissingData: "notBreaching",
      alarmActions: ["arn:aws:sns:eu-central-1:111122223333:shop-alerts"],
      okActions: ["arn:aws:sns:eu-central-1:111122223333:shop-alerts"],
    });
    const none = await record(() => watch());
    expect(ofType(none, "aws:cloudwatch/logMetricFilter:LogMetricFilter")).to.deep.equal([]);
  });

  it("lets alarms, events and budgets publish to the encrypted topic", async () => {
    const graph = await record(() => watch());
    expect(one(graph, "aws:sns/topic:Topic", "shop-alerts").inputs).to.deep.equal({
      name: "shop-alerts",
      kmsMasterKeyId: keyArns.logsKeyArn,
    });
    const [publish, events] = statementsOf(
      one(graph, "aws:sns/topicPolicy:TopicPolicy", "shop-alerts").inputs.policy,
    );
    expect(publish?.Principal).to.deep.equal({
      Service: ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"],
    });
    expect(publish?.Condition).to.deep.equal({ StringEquals: { "aws:SourceAccount": "111122223333" } });
    // With any condition EventBridge publishes nothing.
    expect(events).to.deep.include({
      Principal: { Service: "events.amazonaws.com" },
      actions: ["sns:Publish"],
      resources: ["arn:aws:sns:eu-central-1:111122223333:shop-alerts"],
    });
    expect(events).not.to.have.property("Condition");
    expect(
      ofType(graph, "aws:sns/topicSubscription:TopicSubscription").map(({ inputs }) => inputs.endpoint),
    ).to.deep.equal(["a@example.com"]);
  });

  it("limits the month's cost of this pipeline by its tag", async () => {
    const graph = await record(() => watch());
    expect(one(graph, "aws:budgets/budget:Budget", "shop").inputs).to.deep.include({
      limitAmount: "42",
      limitUnit: "USD",
      timeUnit: "MONTHLY",
      costFilters: [{ name: "TagKeyValue", values: ["user:pipeline$shop"] }],
    });
  });

  it("shows runs, jobs, functions and warehouse on a dashboard", async () => {
    const graph = await record(() => watch());
    const body: unknown = JSON.parse(
      String(one(graph, "aws:cloudwatch/dashboard:Dashboard", "shop").inputs.dashboardBody),
    );
    expect(isRecord(body) && body.widgets).to.have.length(4);
    for (const text of ["stateMachine:shop", "shop-clean", "shop-plan"])
      expect(JSON.stringify(body)).to.contain(text);
  });
});
