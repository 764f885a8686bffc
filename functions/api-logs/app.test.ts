import { DynamoDBPersistenceLayer } from "@aws-lambda-powertools/idempotency/dynamodb";
import { Logger } from "@aws-lambda-powertools/logger";
import { Metrics } from "@aws-lambda-powertools/metrics";
import { expect } from "chai";
import { contractsDir } from "../../contracts/bundle.ts";
import { loadContract } from "../../contracts/contract.ts";
import { ensureTable, startDynamodb } from "../../local/adapters/dynamodbServer.ts";
import { ApiLogsBench, landing, testTargets } from "../testing/apiLogs.ts";
import { apiLogs } from "./app.ts";
import { protectorOf } from "./protect.ts";
import { noSegments } from "./segments.ts";

describe("API logs: the function", () => {
  it("processes an object once, however often it is announced", async () => {
    const bench = await ApiLogsBench.start();
    const dynamodb = await startDynamodb();
    try {
      await ensureTable(dynamodb.plain, "idempotency", "id");
      let opened = 0;
      const app = apiLogs({
        contract: await loadContract(`${contractsDir}/api_events.yaml`),
        targets: testTargets,
        store: {
          open: (bucket, key) => {
            opened += 1;
            return bench.store.open(bucket, key);
          },
          putFile: (bucket, key, file) => bench.store.putFile(bucket, key, file),
        },
        partitions: { register: async () => {} },
        segments: noSegments,
        place: () => ({ country: null, network: null }),
        protector: protectorOf("a key of a test, at least 32 characters"),
        idempotency: new DynamoDBPersistenceLayer({
          tableName: "idempotency",
          awsSdkV3Client: dynamodb.plain,
        }),
        logger: new Logger({ logLevel: "SILENT" }),
        metrics: new Metrics({ namespace: "Test", serviceName: "test" }),
        now: () => new Date(),
      });
      const key = "drops/api-logs/json/a.jsonl";
      await bench.store.putText(landing, key, "no json\n");
      const event = { detail: { bucket: { name: landing }, object: { key, etag: "e" } } };
      const first = await app.handle(event);
      expect(first).to.have.property("counts").that.includes({ received: 1, accepted: 0 });
      expect(await app.handle(event)).to.deep.equal(first);
      expect(opened).to.equal(1);
    } finally {
      await dynamodb.close();
      await bench.stop();
    }
  });
});
