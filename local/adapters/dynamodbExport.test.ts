import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import fc from "fast-check";
import { rejection } from "../../functions/testing/rejection.ts";
import { DirectoryStore } from "./directoryStore.ts";
import { LocalDynamodbExports } from "./dynamodbExport.ts";

const arn = "arn:aws:dynamodb:local:000000000000:table/orders";
const bucket = "landing";

interface Line {
  Item?: Record<string, { S: string }>;
  Metadata?: { WriteTimestampMicros: { N: string } };
  Keys?: { id: { S: string } };
  NewImage?: Record<string, { S: string }>;
}

describe("DynamoDB exports", () => {
  let root: string;
  let store: DirectoryStore;
  let exports: LocalDynamodbExports;
  let now: Date;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "securecart-"));
    store = new DirectoryStore(path.join(root, "lake"));
    now = new Date("2026-03-01T12:00:00Z");
    exports = new LocalDynamodbExports(root, store, 900, () => now);
    await write([
      put("2026-02-27T10:00:00.000001Z", "O1", "new"),
      put("2026-02-28T10:00:00Z", "O2", "new"),
      put("2026-03-01T10:00:00.5Z", "O1", "paid"),
      remove("2026-03-01T10:30:00.123456Z", "O2"),
      put("2026-03-01T11:00:00Z", "O3", "new"),
    ]);
  });
  afterEach(() => rm(root, { recursive: true }));

  const put = (at: string, id: string, state: string) => ({
    at,
    op: "PUT",
    keys: { id: { S: id } },
    item: { id: { S: id }, state: { S: state } },
  });
  const remove = (at: string, id: string) => ({ at, op: "DELETE", keys: { id: { S: id } } });
  const write = (changes: object[]) =>
    writeFile(
      path.join(root, "orders.jsonl"),
      changes.map((change) => `${JSON.stringify(change)}\n`).join(""),
    );

  const full = (to: string, more: object = {}) => ({
    TableArn: arn,
    S3Bucket: bucket,
    S3Prefix: "exports/x",
    ExportType: "FULL_EXPORT",
    ExportTime: to,
    ...more,
  });
  const incremental = (from: string, to: string, more: object = {}) => ({
    TableArn: arn,
    S3Bucket: bucket,
    S3Prefix: "exports/x",
    ExportType: "INCREMENTAL_EXPORT",
    IncrementalExportSpecification: { ExportFromTime: from, ExportToTime: to, ExportViewType: "NEW_IMAGE" },
    ...more,
  });

  /** Runs an export to its end and reads its lines as a reader of the real thing would: by the manifests. */
  async function linesOf(request: object): Promise<Line[]> {
    const started = (await exports.exportTableToPointInTime(request)).ExportDescription;
    expect(started.ExportStatus).to.equal("IN_PROGRESS");
    const { ExportDescription: done } = await exports.describeExport({ ExportArn: started.ExportArn });
    expect(done.ExportStatus, done.FailureMessage).to.equal("COMPLETED");
    const summary = JSON.parse(await store.getText(bucket, done.ExportManifest ?? ""));
    const manifest = await store.getText(bucket, summary.manifestFilesS3Key);
    const lines: Line[] = [];
    for (const entry of manifest.trim().split("\n")) {
      const { itemCount, md5Checksum, dataFileS3Key } = JSON.parse(entry);
      const data = await store.getBytes(bucket, dataFileS3Key);
      expect(createHash("md5").update(data).digest("base64")).to.equal(md5Checksum);
      const text = gunzipSync(data).toString("utf8").trim();
      const own = text === "" ? [] : text.split("\n").map((line): Line => JSON.parse(line));
      expect(own).to.have.length(itemCount);
      lines.push(...own);
    }
    expect(lines)
      .to.have.length(summary.itemCount)
      .and.to.have.length(done.ItemCount ?? -1);
    return lines;
  }

  it("exports the items of an instant, in the layout of the service", async () => {
    const lines = await linesOf(full("2026-03-01T12:00:00Z"));
    expect(lines.map(({ Item }) => [Item?.id?.S, Item?.state?.S]).sort()).to.deep.equal([
      ["O1", "paid"],
      ["O3", "new"],
    ]);
    const earlier = await linesOf(full("2026-02-28T12:00:00Z", { S3Prefix: "exports/y" }));
    expect(earlier.map(({ Item }) => `${Item?.id?.S} ${Item?.state?.S}`).sort()).to.deep.equal([
      "O1 new",
      "O2 new",
    ]);
    const keys = (await store.list(bucket, "exports/x/")).map(({ key }) =>
      key.replace(/\d{14}-[0-9a-f]{8}/, "<id>").replace(/[0-9a-f]{26}/, "<file>"),
    );
    expect([...new Set(keys)]).to.have.members([
      "exports/x/AWSDynamoDB/<id>/_started",
      "exports/x/AWSDynamoDB/<id>/data/<file>.json.gz",
      "exports/x/AWSDynamoDB/<id>/manifest-files.json",
      "exports/x/AWSDynamoDB/<id>/manifest-files.md5",
      "exports/x/AWSDynamoDB/<id>/manifest-summary.json",
      "exports/x/AWSDynamoDB/<id>/manifest-summary.md5",
    ]);
  });

  it("exports the net change of each item in a window, deletions without an image", async () => {
    const lines = await linesOf(incremental("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"));
    expect(lines).to.have.deep.members([
      {
        Metadata: { WriteTimestampMicros: { N: "1772359200500000" } },
        Keys: { id: { S: "O1" } },
        NewImage: { id: { S: "O1" }, state: { S: "paid" } },
      },
      { Metadata: { WriteTimestampMicros: { N: "1772361000123456" } }, Keys: { id: { S: "O2" } } },
    ]);
  });

  it("tells whether anything changed", async () => {
    const at = (time: string) => new Date(`2026-03-01T${time}Z`);
    expect(await exports.hasChanges("orders", at("10:00:00"), at("10:00:00.500"))).to.equal(false);
    expect(await exports.hasChanges("orders", at("10:00:00.500"), at("10:00:01"))).to.equal(true);
  });

  it("gives the same table by one full export and by windows after an earlier one", async () => {
    const minute = 60_000;
    const start = Date.parse("2026-02-25T00:00:00Z");
    const change = fc.record({
      at: fc.integer({ min: 0, max: 300 }),
      id: fc.constantFrom("A", "B", "C"),
      state: fc.option(fc.string({ maxLength: 5 })),
    });
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 19 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 30 }), cuts, async (changes, quarters) => {
        const iso = (minutes: number): string => new Date(start + minutes * minute).toISOString();
        await write(
          changes.map(({ at, id, state }) =>
            state === null ? remove(iso(at), id) : put(iso(at), id, state),
          ),
        );
        const bounds = [...quarters.sort((a, b) => a - b), 21].map((quarter) => iso(quarter * 15));
        const table = new Map<string, string>();
        const [first = "", ...rest] = bounds;
        for (const { Item } of await linesOf(full(first))) table.set(Item?.id?.S ?? "", Item?.state?.S ?? "");
        let from = first;
        for (const to of rest) {
          for (const { Keys, NewImage } of await linesOf(incremental(from, to))) {
            if (NewImage) table.set(Keys?.id.S ?? "", NewImage.state?.S ?? "");
            else table.delete(Keys?.id.S ?? "");
          }
          from = to;
        }
        const whole = (await linesOf(full(from))).map(({ Item }) => [Item?.id?.S, Item?.state?.S]);
        expect([...table].sort()).to.deep.equal(whole.sort());
      }),
      { numRuns: 20 },
    );
  }).timeout(20_000);

  it("answers a repeated client token with the same export, and refuses it for another", async () => {
    const request = full("2026-03-01T12:00:00Z", { ClientToken: "t" });
    const first = await exports.exportTableToPointInTime(request);
    expect(await exports.exportTableToPointInTime(request)).to.deep.equal(first);
    const other = await rejection(exports.exportTableToPointInTime({ ...request, S3Prefix: "exports/z" }));
    expect(other.name).to.equal("ExportConflictException");
  });

  it("describes an export that could not be written as failed, with the reason", async () => {
    await writeFile(path.join(root, "orders.jsonl"), '{"at":"yesterday"}\n');
    const { ExportDescription } = await exports.exportTableToPointInTime(full("2026-03-01T12:00:00Z"));
    const answer = await exports.describeExport({ ExportArn: ExportDescription.ExportArn });
    expect(answer.ExportDescription.ExportStatus).to.equal("FAILED");
    expect(answer.ExportDescription.FailureMessage).to.contain("orders.jsonl:1 is no change of a table");
  });

  const refused: [name: string, request: () => object, error: string, says: string][] = [
    [
      "a window that is too short",
      () => incremental("2026-03-01T10:00:00Z", "2026-03-01T10:14:59Z"),
      "ValidationException",
      "at least 900 seconds",
    ],
    [
      "a window that is too long",
      () => incremental("2026-02-27T10:00:00Z", "2026-02-28T10:00:01Z"),
      "ValidationException",
      "at most 86400",
    ],
    [
      "a window backwards",
      () => incremental("2026-03-01T11:00:00Z", "2026-03-01T10:00:00Z"),
      "ValidationException",
      "-3600",
    ],
    ["the future", () => full("2026-03-01T12:00:01Z"), "InvalidExportTimeException", "recovery window"],
    [
      "what is past recovery",
      () => incremental("2026-01-25T11:00:00Z", "2026-01-25T12:00:00Z"),
      "InvalidExportTimeException",
      "recovery window",
    ],
    [
      "an incremental export without a window",
      () => ({ ...full("2026-03-01T12:00:00Z"), ExportType: "INCREMENTAL_EXPORT" }),
      "ValidationException",
      "IncrementalExportSpecification",
    ],
    [
      "a view type that the API does not know",
      () => {
        const request = incremental("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z");
        return {
          ...request,
          IncrementalExportSpecification: {
            ...request.IncrementalExportSpecification,
            ExportViewType: "NEW_IMAGES",
          },
        };
      },
      "ValidationException",
      "NEW_IMAGE",
    ],
    [
      "an unknown field",
      () => full("2026-03-01T12:00:00Z", { Prefix: "x" }),
      "ValidationException",
      "Prefix",
    ],
    [
      "an unknown table",
      () => full("2026-03-01T12:00:00Z", { TableArn: `${arn}x` }),
      "TableNotFoundException",
      "ordersx.jsonl",
    ],
    [
      "another account's table",
      () => full("2026-03-01T12:00:00Z", { TableArn: "orders" }),
      "ValidationException",
      "no ARN",
    ],
  ];
  for (const [name, request, error, says] of refused) {
    it(`refuses ${name}`, async () => {
      const found = await rejection(exports.exportTableToPointInTime(request()));
      expect(found.name).to.equal(error);
      expect(found.message).to.contain(says);
    });
  }

  it("does not know exports that were never made", async () => {
    expect((await rejection(exports.describeExport({ ExportArn: "x" }))).name).to.equal(
      "ExportNotFoundException",
    );
  });
});
