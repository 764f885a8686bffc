import { spawnSync } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect } from "chai";
import { readParquet } from "../functions/testing/apiLogs.ts";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { type LocalDynamodb, startDynamodb } from "./adapters/dynamodbServer.ts";
import { apiEvents, readApiLogs } from "./apiLogs.ts";
import { putRecords } from "./clickstream.ts";
import { contractsOf } from "./deployment.ts";
import { redriveLocal } from "./redrive.ts";
import type { DatasetBalance } from "./report/types.ts";
import { temporaryFolder } from "./testing/harness.ts";
import { buckets, Workspace } from "./workspace.ts";

const root = path.resolve(import.meta.dirname, "..");

/** Records as GetRecords gives them. */
const linesOf = (from: number, ...events: object[]): string =>
  events
    .map((event, index) => {
      const Data = Buffer.from(JSON.stringify(event)).toString("base64");
      const SequenceNumber = String(from + index).padStart(20, "0");
      return JSON.stringify({
        SequenceNumber,
        ApproximateArrivalTimestamp: "1772366400",
        PartitionKey: "p",
        Data,
      });
    })
    .join("\n");

const event = (id: string): Record<string, unknown> => ({
  request_id: id,
  timestamp: "2026-03-01T12:00:00Z",
  method: "GET",
  path: "/",
  status: 200,
});

describe("API logs on a laptop", () => {
  let workspace: Workspace;
  let store: DirectoryStore;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const temporary = await temporaryFolder();
    remove = temporary.remove;
    workspace = new Workspace(temporary.folder);
    store = new DirectoryStore(workspace.lake);
  });
  afterEach(() => remove());

  /** A run's part of it: the local DynamoDB is started for it alone. */
  async function read(): Promise<DatasetBalance | undefined> {
    const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === apiEvents);
    if (!contract) throw new Error("no contract");
    const dynamodb: LocalDynamodb = await startDynamodb(workspace.ledger);
    try {
      return await readApiLogs({ store, dynamodb, logged: () => {} }, workspace, contract);
    } finally {
      await dynamodb.close();
    }
  }

  async function rows(): Promise<unknown[]> {
    const files = await store.list(buckets.curated, "logs/");
    const read = await Promise.all(files.map(({ bucket, key }) => readParquet(store.pathOf(bucket, key))));
    return read.flat().map(({ event_id }) => event_id);
  }

  it("reads the sample as its truth says, and nothing again", async () => {
    const sample = path.join(workspace.root, "sample");
    const made = spawnSync("python", ["-m", "local.sample", "--out", sample, "--scale", "0.02"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(made.status, made.stderr).to.equal(0);
    const drops = path.join(workspace.lake, buckets.landing, "drops");
    await cp(path.join(sample, "drops"), drops, { recursive: true, preserveTimestamps: true });
    const records = await readFile(path.join(sample, "sources/kinesis/api_events.jsonl"), "utf8");
    await putRecords(workspace, apiEvents, "sample", records);
    const {
      refused,
      by_format: formats,
      ...truth
    } = JSON.parse(await readFile(path.join(sample, "truth.json"), "utf8")).api_events;
    const found = await read();
    expect(found).to.deep.include({ name: apiEvents, ...truth });
    expect(found?.refused.map(({ object, reason }) => [object.split("-landing/")[1], reason])).to.deep.equal(
      Object.entries(refused),
    );
    expect(Object.keys(formats)).to.have.length(5);
    expect(await rows()).to.have.length(truth.loaded);
    expect(await read()).to.equal(undefined);
    expect(await rows()).to.have.length(truth.loaded);
  });

  it("reads what is new alone: a later record, a corrected drop", async () => {
    await putRecords(workspace, apiEvents, "1", linesOf(1, event("a"), event("b")));
    await store.putText(buckets.landing, "drops/api-logs/json/x.jsonl", "no json\n");
    expect(await read()).to.deep.include({ read: 3, loaded: 2, quarantined: { BAD_JSON: 1 } });
    await putRecords(workspace, apiEvents, "2", linesOf(3, event("c")));
    const late = { ...event("d"), timestamp: new Date().toISOString() };
    await store.putText(buckets.landing, "drops/api-logs/json/x.jsonl", `${JSON.stringify(late)}\n`);
    expect(await read()).to.deep.include({ read: 2, loaded: 2, quarantined: {} });
    expect((await rows()).sort()).to.deep.equal(["a", "b", "c", "d"]);
  });

  it("keeps what fails to the end in the failure destination, from where redrive heals it", async () => {
    await putRecords(workspace, apiEvents, "1", linesOf(1, event("a"), event("b"), event("c")));
    // A file where the bucket should be: nothing can be written there.
    await mkdir(workspace.lake, { recursive: true });
    await writeFile(path.join(workspace.lake, buckets.curated), "");
    const found = await read();
    expect(found).to.deep.include({ read: 0, loaded: 0 });
    expect(found?.refused.map(({ reason }) => reason)).to.deep.equal(Array(3).fill("FAILED_BATCH"));
    const blocked = await redriveLocal(workspace.root);
    expect([blocked.records, blocked.failed]).to.deep.equal([3, 3]);
    await rm(path.join(workspace.lake, buckets.curated));
    const healed = await redriveLocal(workspace.root);
    expect([healed.records, healed.succeeded, healed.failed]).to.deep.equal([3, 3, 0]);
    expect((await rows()).sort()).to.deep.equal(["a", "b", "c"]);
    expect(await read()).to.equal(undefined);
  });
});
