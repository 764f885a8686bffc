import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { contractsDir, loadAll } from "../../contracts/bundle.ts";
import { glueType, icebergType, redshiftType } from "../../contracts/contract.ts";
import { createTable, hasWarehouse } from "../../warehouse/tables.ts";
import { root } from "../package/artifacts.ts";
import { bucketNames, isRecord, keyArns, ofType, one, place, record, statementsOf } from "../testing.ts";
import { Catalog, catalogColumns, parquetTables, quarantineTable } from "./catalog.ts";
import { Encryption, keyPurposes } from "./encryption.ts";
import { Lake, zones } from "./lake.ts";
import { Ledger } from "./ledger.ts";

const bucket = (zone: string): string => `shop-${zone}-111122223333-eu-central-1`;

describe("Encryption", () => {
  it("makes one rotating key a purpose, protected by default, and aliases", async () => {
    const graph = await record(() => new Encryption("shop", { place }));
    const keys = ofType(graph, "aws:kms/key:Key");
    expect(keys.map(({ name }) => name)).to.deep.equal(keyPurposes.map((purpose) => `shop-${purpose}`));
    for (const key of keys) {
      expect(key.inputs).to.deep.equal({
        description: key.inputs.description,
        enableKeyRotation: true,
        rotationPeriodInDays: 365,
        deletionWindowInDays: 30,
        policy: key.inputs.policy,
      });
      expect(key).to.deep.include({ protect: true, retainOnDelete: true });
    }
    expect(ofType(graph, "aws:kms/alias:Alias").map(({ inputs }) => inputs.name)).to.deep.equal([
      "alias/shop-data",
      "alias/shop-logs",
      "alias/shop-secrets",
    ]);
  });

  it("limits every use of a key by service, by account or by context", async () => {
    const graph = await record(() => new Encryption("shop", { place }));
    for (const { name, inputs } of ofType(graph, "aws:kms/key:Key")) {
      for (const statement of statementsOf(inputs.policy)) {
        expect(statement.Principal, name).not.to.equal("*");
        expect(
          statement.actions.filter((action) => action.includes("*")),
          name,
        ).to.deep.equal([]);
        if (statement.Sid !== "Administer")
          expect(statement, `${name} ${statement.Sid}`).to.have.property("Condition");
        else expect(statement.actions).not.to.include.members(["kms:Decrypt", "kms:Encrypt"]);
      }
    }
    const logs = statementsOf(one(graph, "aws:kms/key:Key", "shop-logs").inputs.policy);
    expect(logs.find(({ Sid }) => Sid === "LogGroups")).to.deep.include({
      Principal: { Service: "logs.eu-central-1.amazonaws.com" },
      Condition: {
        ArnLike: {
          "kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-central-1:111122223333:log-group:*shop*",
        },
      },
    });
    // Without these an alarm on an encrypted topic is lost without a word.
    const alarms = logs.find(({ Sid }) => Sid === "AlarmsByService");
    expect(alarms?.Principal).to.deep.equal({
      Service: ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"],
    });
    // EventBridge into an encrypted topic or queue names neither account nor rule to KMS.
    const events = (key: string) =>
      statementsOf(one(graph, "aws:kms/key:Key", key).inputs.policy)
        .filter(({ Principal }) => JSON.stringify(Principal).includes("events.amazonaws.com"))
        .map(({ Condition }) => Condition);
    expect(events("shop-logs")).to.deep.equal([
      {
        ArnLike: { "kms:EncryptionContext:aws:sns:topicArn": "arn:aws:sns:eu-central-1:111122223333:shop-*" },
      },
    ]);
    expect(events("shop-data")).to.deep.equal([
      { ArnLike: { "kms:EncryptionContext:aws:sqs:arn": "arn:aws:sqs:eu-central-1:111122223333:shop-*" } },
    ]);
  });
});

describe("Lake", () => {
  it("makes a bucket a zone with exactly these settings", async () => {
    const graph = await record(() => new Lake("shop", { place, dataKeyArn: keyArns.dataKeyArn }));
    expect(ofType(graph, "aws:s3/bucket:Bucket").map(({ name }) => name)).to.deep.equal(
      zones.map((zone) => `shop-${zone}`).toSorted(),
    );
    for (const zone of zones) {
      const own = one(graph, "aws:s3/bucket:Bucket", `shop-${zone}`);
      expect(own.inputs).to.deep.equal({ bucket: bucket(zone), forceDestroy: false });
      expect(own).to.deep.include({ protect: true, retainOnDelete: true });
      expect(
        one(graph, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", `shop-${zone}`).inputs,
      ).to.deep.equal({
        bucket: bucket(zone),
        blockPublicAcls: true,
        blockPublicPolicy: true,
        ignorePublicAcls: true,
        restrictPublicBuckets: true,
      });
      expect(
        one(graph, "aws:s3/bucketOwnershipControls:BucketOwnershipControls", `shop-${zone}`).inputs,
      ).to.deep.equal({
        bucket: bucket(zone),
        rule: { objectOwnership: "BucketOwnerEnforced" },
      });
      expect(one(graph, "aws:s3/bucketVersioning:BucketVersioning", `shop-${zone}`).inputs).to.deep.equal({
        bucket: bucket(zone),
        versioningConfiguration: { status: "Enabled" },
      });
      const type = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration";
      expect(one(graph, type, `shop-${zone}`).inputs.rules).to.deep.equal([
        {
          applyServerSideEncryptionByDefault:
            zone === "logs"
              ? { sseAlgorithm: "AES256" }
              : { sseAlgorithm: "aws:kms", kmsMasterKeyId: keyArns.dataKeyArn },
          bucketKeyEnabled: zone !== "logs",
          blockedEncryptionTypes: ["SSE-C"],
        },
      ]);
    }
  });

  it("logs access of every bucket but the logs' own", async () => {
    const graph = await record(() => new Lake("shop", { place, dataKeyArn: keyArns.dataKeyArn }));
    const logging = ofType(graph, "aws:s3/bucketLogging:BucketLogging");
    expect(logging.map(({ inputs }) => inputs.bucket)).to.have.members(
      zones.filter((zone) => zone !== "logs").map(bucket),
    );
    const allowed = one(graph, "aws:s3/bucketPolicy:BucketPolicy", "shop-logs").urn;
    for (const { inputs, dependencies } of logging) {
      expect(inputs.targetBucket).to.equal(bucket("logs"));
      expect(dependencies).to.include(allowed);
    }
  });

  it("refuses plain HTTP and foreign keys, and names no source VPC endpoint", async () => {
    const graph = await record(() => new Lake("shop", { place, dataKeyArn: keyArns.dataKeyArn }));
    for (const zone of zones) {
      const statements = statementsOf(
        one(graph, "aws:s3/bucketPolicy:BucketPolicy", `shop-${zone}`).inputs.policy,
      );
      expect(statements[0]).to.deep.include({
        Effect: "Deny",
        Principal: "*",
        resources: [`arn:aws:s3:::${bucket(zone)}`, `arn:aws:s3:::${bucket(zone)}/*`],
        Condition: { Bool: { "aws:SecureTransport": "false" } },
      });
      expect(JSON.stringify(statements)).not.to.contain("aws:SourceVpce");
      expect(statements[1]?.Sid).to.equal(zone === "logs" ? "AccessLogs" : "OwnKeyOnly");
    }
  });

  it("expires by zone and never touches a live Iceberg file", async () => {
    const graph = await record(
      () =>
        new Lake("shop", {
          place,
          dataKeyArn: keyArns.dataKeyArn,
          retention: { landingDays: 11, quarantineDays: 12, exportDays: 13, logDays: 14, noncurrentDays: 15 },
        }),
    );
    const rulesOf = (zone: string): Record<string, unknown>[] => {
      const type = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration";
      const { rules } = one(graph, type, `shop-${zone}`).inputs;
      return Array.isArray(rules) ? rules.filter(isRecord) : [];
    };
    const expired = (zone: string): Record<string, unknown> =>
      Object.fromEntries(
        rulesOf(zone).flatMap(({ filter, expiration }) =>
          isRecord(filter) && isRecord(expiration) ? [[String(filter.prefix), expiration.days]] : [],
        ),
      );
    expect(expired("landing")).to.deep.equal({
      "batches/": 11,
      "drops/": 11,
      "dynamodb-exports/": 11,
      "plans/": 11,
      "recipes/": 11,
    });
    expect(expired("staging")).to.deep.equal({ "candidates/": 13, "runs/": 11 });
    expect(expired("curated")).to.deep.equal({ "exports/": 13, "fraud/alerts/": 11 });
    expect(expired("quarantine")).to.deep.equal({ "aws/": 12, "records/": 12, "redriven/": 12 });
    expect(expired("artifacts")).to.deep.equal({ "temporary/": 7 });
    expect(expired("logs")).to.deep.equal({ "access/": 14, "spark/": 30 });
    for (const zone of zones) {
      expect(rulesOf(zone)[0], zone).to.deep.equal({
        id: "noncurrent-and-broken-uploads",
        status: "Enabled",
        filter: { prefix: "" },
        noncurrentVersionExpiration: { noncurrentDays: 15 },
        abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
      });
      for (const prefix of Object.keys(expired(zone)))
        expect("tables/".startsWith(prefix), `${zone} ${prefix}`).to.equal(false);
      for (const rule of rulesOf(zone)) expect(rule).not.to.have.property("transitions");
    }
  });

  it("sends events of landing to EventBridge, and of no other bucket", async () => {
    const graph = await record(() => new Lake("shop", { place, dataKeyArn: keyArns.dataKeyArn }));
    expect(
      ofType(graph, "aws:s3/bucketNotification:BucketNotification").map(({ inputs }) => inputs),
    ).to.deep.equal([{ bucket: bucket("landing"), eventbridge: true }]);
  });

  it("empties buckets only when both settings agree", async () => {
    const forced = async (safety: object): Promise<unknown[]> => {
      const graph = await record(() => new Lake("shop", { place, dataKeyArn: keyArns.dataKeyArn, safety }));
      return [...new Set(ofType(graph, "aws:s3/bucket:Bucket").map(({ inputs }) => inputs.forceDestroy))];
    };
    expect(await forced({ protect: true, destroyData: true })).to.deep.equal([false]);
    expect(await forced({ protect: false })).to.deep.equal([false]);
    expect(await forced({ protect: false, destroyData: true })).to.deep.equal([true]);
  });
});

describe("Catalog", () => {
  it("makes a database a zone with its location, and no Iceberg table", async () => {
    const graph = await record(() => new Catalog("shop-dev", { bucketNames }));
    const databases = ofType(graph, "aws:glue/catalogDatabase:CatalogDatabase").map(({ inputs }) => [
      inputs.name,
      inputs.locationUri,
    ]);
    expect(Object.fromEntries(databases)).to.deep.equal({
      shop_dev_staging: "s3://shop-staging/tables/",
      shop_dev_curated: "s3://shop-curated/tables/",
      shop_dev_quarantine: "s3://shop-quarantine/",
    });
    expect(ofType(graph, "aws:glue/catalogTable:CatalogTable").map(({ name }) => name)).to.deep.equal([
      "shop-dev-records",
    ]);
  });

  it("describes the quarantine as the cleaning job writes it, with a partition index", async () => {
    const graph = await record(() => new Catalog("shop-dev", { bucketNames }));
    const { inputs } = one(graph, "aws:glue/catalogTable:CatalogTable", "shop-dev-records");
    expect(inputs).to.deep.include({
      databaseName: "shop_dev_quarantine",
      name: "records",
      tableType: "EXTERNAL_TABLE",
      parameters: { EXTERNAL: "TRUE", classification: "parquet" },
      partitionKeys: quarantineTable.partitionKeys,
    });
    expect(inputs).not.to.have.any.keys("partitionIndices", "openTableFormatInput");
    const index = one(graph, "aws:glue/partitionIndex:PartitionIndex", "shop-dev-records");
    expect(index.inputs).to.deep.equal({
      databaseName: "shop_dev_quarantine",
      tableName: "records",
      partitionIndex: { indexName: "partitions", keys: ["dataset", "batch"] },
    });
    const clean = readFileSync(path.join(root, "jobs/securecart/clean.py"), "utf8");
    const [, written = ""] = /def _quarantine\(.*?\.select\((.*?)\n {4}\)\n/s.exec(clean) ?? [];
    const columns = [...written.matchAll(/\.alias\("(\w+)"\)/g)].map(([, column]) => column);
    expect(columns).to.deep.equal(quarantineTable.columns.map((column) => column.name));
  });

  it("makes the table of a contract that is kept as plain Parquet, with its columns and partitions", async () => {
    const tables = parquetTables(await loadAll([contractsDir]));
    expect(tables.map(({ name, zone, prefix }) => [name, zone, prefix])).to.deep.equal([
      ["api_events", "curated", "logs/api_events/"],
    ]);
    const graph = await record(() => new Catalog("shop-dev", { bucketNames, tables }));
    const { inputs } = one(graph, "aws:glue/catalogTable:CatalogTable", "shop-dev-api_events");
    const contract = (await loadAll([contractsDir])).find(({ name }) => name === "api_events");
    const described = [...(tables[0]?.columns ?? []), ...(tables[0]?.partitionKeys ?? [])];
    expect(described.map(({ name, type }) => [name, type])).to.deep.equal(
      contract?.columns.map(({ name, type }) => [name, glueType(type)]),
    );
    expect(inputs.partitionKeys).to.deep.equal(tables[0]?.partitionKeys);
    expect(tables[0]?.partitionKeys.map(({ name, type }) => [name, type])).to.deep.equal([
      ["arrival_date", "date"],
      ["arrival_hour", "int"],
    ]);
    expect(isRecord(inputs.storageDescriptor) && inputs.storageDescriptor.location).to.equal(
      "s3://shop-curated/logs/api_events/",
    );
    expect(
      one(graph, "aws:glue/partitionIndex:PartitionIndex", "shop-dev-api_events").inputs.partitionIndex,
    ).to.deep.equal({ indexName: "partitions", keys: ["arrival_date", "arrival_hour"] });
  });

  it("names every contract's columns and types as the lake and the warehouse do", async () => {
    const contracts = await loadAll([contractsDir]);
    expect(contracts.length).to.be.greaterThan(10);
    for (const contract of contracts) {
      const expected = contract.columns.map(({ name, type }) => [name, icebergType(type)]);
      expect(
        catalogColumns(contract).map(({ name, type }) => [name, type]),
        contract.name,
      ).to.deep.equal(expected);
      if (!hasWarehouse(contract)) continue;
      const ddl = createTable(contract);
      for (const { name, type } of contract.columns) {
        expect(glueType(type)).to.equal(icebergType(type));
        expect(ddl, `${contract.name}.${name}`).to.match(
          new RegExp(`"?\\b${name}"? ${redshiftType(type).replace(/[()]/g, "\\$&")}`),
        );
      }
    }
  });
});

describe("Ledger", () => {
  it("is an encrypted table with recovery and a cap", async () => {
    const graph = await record(() => new Ledger("shop", { dataKeyArn: keyArns.dataKeyArn }));
    const table = one(graph, "aws:dynamodb/table:Table", "shop-ledger");
    expect(table.inputs).to.deep.equal({
      name: "shop-ledger",
      billingMode: "PAY_PER_REQUEST",
      onDemandThroughput: { maxReadRequestUnits: 1000, maxWriteRequestUnits: 1000 },
      hashKey: "pk",
      rangeKey: "sk",
      attributes: [
        { name: "pk", type: "S" },
        { name: "sk", type: "S" },
      ],
      serverSideEncryption: { enabled: true, kmsKeyArn: keyArns.dataKeyArn },
      pointInTimeRecovery: { enabled: true, recoveryPeriodInDays: 35 },
      deletionProtectionEnabled: true,
    });
    expect(table).to.deep.include({ protect: true, retainOnDelete: true });
  });
});
