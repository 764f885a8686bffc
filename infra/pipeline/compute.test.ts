import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { contractsDir, loadAll } from "../../contracts/bundle.ts";
import { fileArtifact } from "../package/artifacts.ts";
import {
  bucketNames,
  failureOf,
  functionDefaults,
  isRecord,
  keyArns,
  network,
  ofType,
  one,
  place,
  record,
  rightsOf,
} from "../testing.ts";
import { Batch, type BatchArgs } from "./batch.ts";
import { Functions, functionNames } from "./functions.ts";
import { jobs, jobsPackage } from "./jobs.ts";
import { LakeMigration } from "./lake-migration.ts";
import { Sources, type SourcesArgs, sourceTables } from "./sources.ts";

const mysql = {
  host: "db.example.com",
  database: "shop",
  secretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop-AbCdEf",
  cidr: "10.100.0.0/16",
};

const sourcesArgs: SourcesArgs = {
  place,
  dataKeyArn: keyArns.dataKeyArn,
  subnetId: "subnet-1",
  availabilityZone: "eu-central-1a",
  securityGroupId: "sg-1",
  tables: [{ name: "orders", key: ["orderId"] }],
};

describe("Sources", () => {
  it("reaches MySQL over TLS with a secret, never a password, and opens its port to its range alone", async () => {
    const graph = await record(() => new Sources("shop", { ...sourcesArgs, mysql }));
    const connection = one(graph, "aws:glue/connection:Connection", "shop-mysql").inputs;
    expect(connection).to.deep.equal({
      name: "shop-mysql",
      connectionType: "JDBC",
      connectionProperties: {
        JDBC_CONNECTION_URL: "jdbc:mysql://db.example.com:3306/shop",
        JDBC_ENFORCE_SSL: "true",
        SECRET_ID: mysql.secretArn,
      },
      physicalConnectionRequirements: {
        subnetId: "subnet-1",
        availabilityZone: "eu-central-1a",
        securityGroupIdLists: ["sg-1"],
      },
    });
    expect(JSON.stringify(connection)).not.to.match(/PASSWORD|USERNAME/);
    const [rule, ...others] = ofType(graph, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule");
    expect(others).to.deep.equal([]);
    expect(rule?.inputs).to.deep.include({ cidrIpv4: "10.100.0.0/16", fromPort: 3306, toPort: 3306 });
  });

  it("leaves MySQL out without a database", async () => {
    const graph = await record(() => new Sources("shop", sourcesArgs));
    expect(
      ofType(graph, "aws:glue/connection:Connection").map(({ inputs }) => inputs.connectionType),
    ).to.deep.equal(["NETWORK"]);
    expect(ofType(graph, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")).to.deep.equal([]);
  });

  it("makes the DynamoDB tables that contracts read, with recovery for exports", async () => {
    const tables = sourceTables(await loadAll([contractsDir]));
    expect(tables).to.deep.equal([{ name: "orders", key: ["orderId"] }]);
    const graph = await record(
      () => new Sources("shop", { ...sourcesArgs, tables, recoveryDays: 7, safety: { protect: false } }),
    );
    const table = one(graph, "aws:dynamodb/table:Table", "shop-orders");
    expect(table.inputs).to.deep.include({
      name: "shop-orders",
      hashKey: "orderId",
      attributes: [{ name: "orderId", type: "S" }],
      pointInTimeRecovery: { enabled: true, recoveryPeriodInDays: 7 },
      serverSideEncryption: { enabled: true, kmsKeyArn: keyArns.dataKeyArn },
      deletionProtectionEnabled: false,
    });
    expect(table.inputs).not.to.have.property("rangeKey");
    expect(table.protect).to.equal(false);
  });

  it("adopts a table instead of making one", async () => {
    const graph = await record(() => ({
      arns: new Sources("shop", { ...sourcesArgs, adoptTables: { orders: "mobile-orders" } }).tableArns,
    }));
    expect(ofType(graph, "aws:dynamodb/table:Table")).to.deep.equal([]);
    expect(graph.outputs.arns).to.deep.equal({
      orders: "arn:aws:dynamodb:eu-central-1:111122223333:table/mobile-orders",
    });
  });
});

const geoDatabase = fileArtifact(path.join(jobsPackage, "__init__.py"));
const batchArgs: BatchArgs = {
  place,
  jobs: ["clean", "extractMysql", "curate", "migrate", "export"],
  bucketNames,
  databaseNames: { staging: "shop_staging", curated: "shop_curated", quarantine: "shop_quarantine" },
  dataKeyArn: keyArns.dataKeyArn,
  contractsJson: '{"contracts":[]}',
  geoDatabase,
  wheels: { name: "glue-1.gluewheels.zip", asset: new pulumi.asset.StringAsset("wheels") },
  network,
  connections: {
    network: "shop-network",
    mysql: { name: "shop-mysql", url: "jdbc:mysql://db:3306/shop", secretArn: mysql.secretArn },
  },
};

describe("Batch", () => {
  it("runs each job on Glue 5.1 with everything capped and logged", async () => {
    const graph = await record(() => new Batch("shop", batchArgs));
    const { inputs } = one(graph, "aws:glue/job:Job", "shop-clean");
    expect(inputs).to.deep.equal({
      name: "shop-clean",
      description: jobs.clean.description,
      roleArn: "arn:aws:iam::111122223333:role/shop-clean",
      glueVersion: "5.1",
      command: {
        name: "glueetl",
        pythonVersion: "3",
        scriptLocation: (inputs.command as { scriptLocation: string }).scriptLocation,
      },
      executionClass: "STANDARD",
      executionProperty: { maxConcurrentRuns: 1 },
      workerType: "G.1X",
      numberOfWorkers: 4,
      timeout: 60,
      notificationProperty: { notifyDelayAfter: 30 },
      maxRetries: 0,
      securityConfiguration: "shop-batch",
      connections: ["shop-network"],
      defaultArguments: inputs.defaultArguments,
    });
    expect((inputs.command as { scriptLocation: string }).scriptLocation).to.match(
      /^s3:\/\/shop-artifacts\/code\/clean-[0-9a-f]{16}\.py$/,
    );
    expect(inputs.defaultArguments).to.deep.include({
      "--landing": "shop-landing",
      "--staging": "shop-staging",
      "--curated": "shop-curated",
      "--quarantine": "shop-quarantine",
      "--artifacts": "shop-artifacts",
      "--staging-db": "shop_staging",
      "--curated-db": "shop_curated",
      "--quarantine-db": "shop_quarantine",
      "--contracts": "s3://shop-artifacts/contracts.json",
      "--datalake-formats": "iceberg",
      "--disable-proxy-v2": "true",
      "--enable-auto-scaling": "true",
      "--enable-metrics": "",
      "--job-bookmark-option": "job-bookmark-disable",
      "--python-modules-installer-option": "--no-index",
    });
    expect(inputs.defaultArguments).not.to.have.any.keys(
      "--plan",
      "--batch-id",
      "--mysql-url",
      "--mysql-secret",
      "--geo-database",
    );
  });

  it("gives an argument only to the job that takes it", async () => {
    const graph = await record(() => new Batch("shop", batchArgs));
    const extract = one(graph, "aws:glue/job:Job", "shop-extract-mysql").inputs;
    expect(extract.connections).to.deep.equal(["shop-mysql"]);
    expect(extract.defaultArguments).to.deep.include({
      "--mysql-url": "jdbc:mysql://db:3306/shop",
      "--mysql-secret": mysql.secretArn,
    });
    const curate = one(graph, "aws:glue/job:Job", "shop-curate").inputs.defaultArguments;
    expect(isRecord(curate) && curate["--geo-database"]).to.match(
      /^s3:\/\/shop-artifacts\/code\/geo-.*\.mmdb$/,
    );
  });

  it("sets up both Iceberg catalogs when the JVM starts, on Glue's catalog", async () => {
    const graph = await record(() => new Batch("shop", batchArgs));
    const settings = one(graph, "aws:glue/job:Job", "shop-clean").inputs.defaultArguments;
    const conf = isRecord(settings) ? String(settings["--conf"]) : "";
    for (const zone of ["staging", "curated"]) {
      expect(conf).to.contain(`--conf spark.sql.catalog.${zone}.type=glue`);
      expect(conf).to.contain(`--conf spark.sql.catalog.${zone}.warehouse=s3://shop-${zone}/tables`);
    }
    expect(conf).to.match(/^spark\.sql\.extensions=/);
    expect(conf).not.to.contain("hadoop");
  });

  it("encrypts files, logs and bookmarks with one key", async () => {
    const graph = await record(() => new Batch("shop", batchArgs));
    const { inputs } = one(graph, "aws:glue/securityConfiguration:SecurityConfiguration", "shop-batch");
    expect(inputs.encryptionConfiguration).to.deep.equal({
      s3Encryption: { s3EncryptionMode: "SSE-KMS", kmsKeyArn: keyArns.dataKeyArn },
      cloudwatchEncryption: { cloudwatchEncryptionMode: "SSE-KMS", kmsKeyArn: keyArns.dataKeyArn },
      jobBookmarksEncryption: { jobBookmarksEncryptionMode: "CSE-KMS", kmsKeyArn: keyArns.dataKeyArn },
    });
  });

  it("hands every size to every job", async () => {
    const graph = await record(
      () =>
        new Batch("shop", {
          ...batchArgs,
          size: { workerType: "G.2X", maxWorkers: 7, timeoutMinutes: 77, slowAfterMinutes: 17, flex: true },
          logRetentionDays: 90,
        }),
    );
    const deployed = ofType(graph, "aws:glue/job:Job");
    expect(deployed).to.have.length(batchArgs.jobs.length);
    const urgent = ["shop-maintain", "shop-migrate", "shop-rollback"];
    for (const { name, inputs } of deployed) {
      expect(inputs, name).to.deep.include({
        workerType: "G.2X",
        numberOfWorkers: 7,
        timeout: 77,
        notificationProperty: { notifyDelayAfter: 17 },
        // A deployment, a commit and a failed run wait for these: spare capacity may take longer to come than they last.
        executionClass: urgent.includes(name) ? "STANDARD" : "FLEX",
      });
    }
    for (const { inputs } of ofType(graph, "aws:cloudwatch/logGroup:LogGroup"))
      expect(inputs.retentionInDays).to.equal(90);
  });

  it("lets a job touch its own areas and tables, and nothing else", async () => {
    const graph = await record(() => new Batch("shop", batchArgs));
    const rights = rightsOf(graph, "shop-clean");
    const written = rights
      .filter(({ actions }) => actions.includes("s3:PutObject"))
      .flatMap(({ resources }) => resources);
    expect(written).to.have.members([
      "arn:aws:s3:::shop-staging/candidates/*",
      "arn:aws:s3:::shop-staging/runs/*",
      "arn:aws:s3:::shop-quarantine/records/*",
      "arn:aws:s3:::shop-artifacts/temporary/*",
      "arn:aws:s3:::shop-logs/spark/*",
    ]);
    expect(rights.flatMap(({ actions }) => actions)).not.to.include.members(["glue:UpdateTable"]);
    expect(rightsOf(graph, "shop-migrate").flatMap(({ actions }) => actions)).to.include("glue:CreateTable");
    const registers = rights.find(({ actions }) => actions.includes("glue:BatchCreatePartition"));
    expect(registers?.resources.at(-1)).to.match(/:table\/shop_quarantine\/records$/);
    const readers = batchArgs.jobs.filter((job) =>
      rightsOf(graph, `shop-${jobs[job].module.replaceAll("_", "-")}`).some(({ actions }) =>
        actions.includes("secretsmanager:GetSecretValue"),
      ),
    );
    expect(readers).to.deep.equal(["extractMysql"]);
  });

  it("declares the log groups that its jobs write to, before the jobs", async () => {
    const graph = await record(() => new Batch("shop", { ...batchArgs, jobs: ["clean"] }));
    const groups = ofType(graph, "aws:cloudwatch/logGroup:LogGroup");
    expect(groups.map(({ inputs }) => inputs.name)).to.have.members([
      "/aws-glue/jobs/shop-batch-role/shop-clean/output",
      "/aws-glue/jobs/shop-batch-role/shop-clean/error",
    ]);
    expect(one(graph, "aws:glue/job:Job", "shop-clean").dependencies).to.include.members(
      groups.map(({ urn }) => urn),
    );
  });

  it("refuses a job whose script does not exist, before it registers anything", async () => {
    const packageDir = path.join(mkdtempSync(path.join(tmpdir(), "jobs-")));
    writeFileSync(path.join(packageDir, "clean.py"), "print(1)\n");
    const error = await failureOf(() => new Batch("shop", { ...batchArgs, packageDir }));
    expect(error.message).to.match(
      /extract_mysql\.py, curate\.py, migrate\.py, export\.py do not exist in .*leave the job out/,
    );
  });

  it("changes its code's name when the code changes, and only then", async () => {
    const commandOf = async (text: string): Promise<unknown> => {
      const packageDir = path.join(mkdtempSync(path.join(tmpdir(), "jobs-")));
      writeFileSync(path.join(packageDir, "clean.py"), text);
      const graph = await record(() => new Batch("shop", { ...batchArgs, packageDir, jobs: ["clean"] }));
      return one(graph, "aws:glue/job:Job", "shop-clean").inputs.command;
    };
    expect(await commandOf("print(1)\n")).to.deep.equal(await commandOf("print(1)\n"));
    expect(await commandOf("print(1)\n")).not.to.deep.equal(await commandOf("print(2)\n"));
  });
});

const bundles = Object.fromEntries([...functionNames, "migrateLake"].map((each) => [each, geoDatabase]));
const newFunctions = (more: object = {}): Functions =>
  new Functions("shop", {
    ...functionDefaults(),
    logRetentionDays: 14,
    functions: functionNames,
    bundles,
    bucketNames,
    ledgerTable: "shop-ledger",
    tableArns: { orders: "arn:aws:dynamodb:eu-central-1:111122223333:table/orders" },
    ...more,
  });

describe("Functions", () => {
  it("makes each function arm64, private, traced, encrypted, with its failures kept", async () => {
    const graph = await record(() =>
      newFunctions({ memoryMegabytes: 256, reservedConcurrency: 3, leaseMinutes: 90 }),
    );
    const { inputs } = one(graph, "aws:lambda/function:Function", "shop-commit");
    expect(inputs).to.deep.equal({
      name: "shop-commit",
      description: inputs.description,
      role: "arn:aws:iam::111122223333:role/shop-commit",
      runtime: "nodejs22.x",
      architectures: ["arm64"],
      handler: "index.handler",
      code: inputs.code,
      memorySize: 256,
      timeout: 120,
      reservedConcurrentExecutions: 3,
      kmsKeyArn: keyArns.dataKeyArn,
      environment: {
        variables: {
          LEDGER_TABLE: "shop-ledger",
          PIPELINE: "shop",
          LEASE_MINUTES: "90",
          LANDING_BUCKET: "shop-landing",
          STAGING_BUCKET: "shop-staging",
          ARTIFACTS_BUCKET: "shop-artifacts",
        },
      },
      tracingConfig: { mode: "Active" },
      loggingConfig: { logFormat: "JSON", logGroup: "/aws/lambda/shop-commit" },
      deadLetterConfig: { targetArn: "arn:aws:sqs:eu-central-1:111122223333:shop-failures" },
      vpcConfig: { subnetIds: ["subnet-1", "subnet-2", "subnet-3"], securityGroupIds: ["sg-1"] },
    });
    for (const { inputs: group } of ofType(graph, "aws:cloudwatch/logGroup:LogGroup")) {
      expect(group).to.deep.include({ retentionInDays: 14, kmsKeyId: keyArns.logsKeyArn });
    }
    expect(ofType(graph, "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")).to.have.length(
      functionNames.length,
    );
  });

  it("tells the planning function about MySQL only where there is one", async () => {
    const without = one(
      await record(() => newFunctions()),
      "aws:lambda/function:Function",
      "shop-plan",
    ).inputs;
    expect(JSON.stringify(without.environment)).not.to.contain("MYSQL");
    expect(without).not.to.have.property("layers");
    const layer = "arn:aws:lambda:eu-central-1:1:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:1";
    const graph = await record(() => newFunctions({ mysql, secretsLayerArn: layer }));
    const { inputs } = one(graph, "aws:lambda/function:Function", "shop-plan");
    expect(inputs.layers).to.deep.equal([layer]);
    expect(isRecord(inputs.environment) && inputs.environment.variables).to.deep.include({
      MYSQL_HOST: "db.example.com",
      MYSQL_PORT: "3306",
      MYSQL_DATABASE: "shop",
      MYSQL_SECRET_ID: mysql.secretArn,
    });
    const readers = ["plan", "verdict", "render-load", "commit", "abort"].filter((each) =>
      rightsOf(graph, `shop-${each}`).some(({ actions }) =>
        actions.includes("secretsmanager:GetSecretValue"),
      ),
    );
    expect(readers).to.deep.equal(["plan"]);
    const error = await failureOf(() => newFunctions({ mysql }));
    expect(error.message).to.contain("secretsLayerArn");
  });

  it("keeps network interfaces for Lambda itself: the function's own code may not make one", async () => {
    const rights = rightsOf(await record(() => newFunctions()), "shop-commit");
    const deny = rights.filter(({ Effect }) => Effect === "Deny");
    expect(deny.map(({ Condition }) => Condition)).to.deep.equal([
      {
        ArnEquals: {
          "lambda:SourceFunctionArn": "arn:aws:lambda:eu-central-1:111122223333:function:shop-commit",
        },
      },
    ]);
    expect(deny[0]?.actions).to.include("ec2:CreateNetworkInterface");
    // Lambda refuses a role that may delete less than this.
    const remove = rights.find(
      ({ actions, Effect }) => Effect === "Allow" && actions.includes("ec2:DeleteNetworkInterface"),
    );
    expect(remove?.resources).to.deep.equal(["arn:aws:ec2:eu-central-1:111122223333:*/*"]);
  });

  it("lets only those write the ledger that need to", async () => {
    const graph = await record(() => newFunctions());
    const writers = ["plan", "verdict", "render-load", "commit", "abort"].filter((each) =>
      rightsOf(graph, `shop-${each}`).some(({ actions }) => actions.includes("dynamodb:UpdateItem")),
    );
    expect(writers).to.deep.equal(["plan", "commit", "abort"]);
  });
});

describe("LakeMigration", () => {
  it("runs the job again when contracts or code change", async () => {
    const graph = await record(
      () =>
        new LakeMigration("shop", {
          jobName: "shop-migrate",
          triggers: { contracts: "abc" },
          functionDefaults: functionDefaults(),
          bundle: geoDatabase,
        }),
    );
    const { inputs, dependencies } = one(graph, "aws:lambda/invocation:Invocation", "shop-migrate-lake");
    expect(inputs).to.deep.include({
      functionName: "shop-migrate-lake",
      input: '{"job":"shop-migrate"}',
      triggers: { contracts: "abc", code: geoDatabase.sha256 },
    });
    expect(dependencies).to.include(one(graph, "aws:lambda/function:Function", "shop-migrate-lake").urn);
    const run = rightsOf(graph, "shop-migrate-lake").find(({ Sid }) => Sid === "RunMigration");
    expect(run?.resources).to.deep.equal(["arn:aws:glue:eu-central-1:111122223333:job/shop-migrate"]);
  });
});
