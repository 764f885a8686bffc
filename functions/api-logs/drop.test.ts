/** What a drop comes to when something around it fails, or when it is large. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { asyncBufferFromFile, parquetMetadataAsync } from "hyparquet";
import { ApiLogsBench, arrival, testTargets } from "../testing/apiLogs.ts";
import { rejection } from "../testing/rejection.ts";
import type { CustomerSegments } from "./enrich.ts";

const line = (id: number | string, customer = "C1"): string =>
  `{"request_id":"${id}","timestamp":"2026-03-01T11:59:58Z","method":"GET","path":"/v1/orders/4711","status":200,"customer_id":"${customer}"}\n`;

/** A store of segments whose rights are missing until they are given. */
class DeniedSegments implements CustomerSegments {
  denied = true;

  async of(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    if (this.denied) throw new Error("AccessDenied: not authorized to perform s3:GetObject");
    return new Map([...ids].map((id) => [id, "loyal"]));
  }
}

describe("API logs: drops", () => {
  const segments = new DeniedSegments();
  const inherited = process.env.TMPDIR;
  let bench: ApiLogsBench;
  let scratch: string;
  beforeEach(async () => {
    segments.denied = false;
    bench = await ApiLogsBench.start(segments);
    scratch = await mkdtemp(path.join(tmpdir(), "securecart-"));
    process.env.TMPDIR = scratch; // where the function lets its files grow
  });
  afterEach(async () => {
    if (inherited === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = inherited;
    await rm(scratch, { recursive: true });
    await bench.stop();
  });

  /** Nothing of a drop that failed is in the lake or on the disk. */
  async function expectNothing(): Promise<void> {
    expect(await bench.rows()).to.deep.equal([]);
    expect(await bench.refused()).to.deep.equal([]);
    expect(bench.registered).to.deep.equal([]);
    expect(await readdir(scratch)).to.deep.equal([]);
  }

  it("fails on an object that may not be read, and says which", async () => {
    bench.store.open = () => Promise.reject(new Error("s3://test-landing/x cannot be read (AccessDenied)"));
    expect((await rejection(bench.process("json/x.jsonl"))).message).to.contain("AccessDenied");
    await expectNothing();
  });

  it("fails on an object that breaks off while it is read, and leaves nothing of it", async () => {
    const { open } = bench.store;
    bench.store.open = async () => {
      async function* half() {
        yield Buffer.from(Array.from({ length: 20_000 }, (_, id) => line(id)).join(""));
        yield Buffer.from("{damaged\n");
        throw new Error("ECONNRESET");
      }
      return { body: Readable.from(half()), size: 0, lastModified: arrival };
    };
    expect((await rejection(bench.process("json/x.jsonl"))).message).to.equal("ECONNRESET");
    await expectNothing();
    bench.store.open = open;
    expect((await bench.drop("json/x.jsonl", line(1))).counts.accepted).to.equal(1);
  });

  it("fails while the store that it enriches from denies access, and has every record afterwards", async () => {
    segments.denied = true;
    const content = `${line(1)}{half\n${line(2, "C2")}`;
    expect((await rejection(bench.drop("json/x.jsonl", content))).message).to.contain("AccessDenied");
    await expectNothing();
    segments.denied = false;
    const { counts } = await bench.process("json/x.jsonl");
    expect(counts).to.deep.equal({
      received: 3,
      accepted: 2,
      duplicates: 0,
      quarantined: { BAD_JSON: 1 },
    });
    expect((await bench.rows()).map((row) => row.customer_segment)).to.deep.equal(["loyal", "loyal"]);
  });

  it("accounts for a million events of one customer, repeated and damaged ones among them @slow", async () => {
    const blocks = 1_000;
    function* content() {
      for (let block = 0; block < blocks; block += 1) {
        const lines = Array.from({ length: 1_000 }, (_, index) => line(block * 1_000 + index));
        yield Buffer.from(`${lines.join("")}${line(block * 1_000)}{damaged\n`);
      }
    }
    bench.store.open = async () => ({ body: Readable.from(content()), size: 0, lastModified: arrival });
    const { counts, objects } = await bench.process("json/million.jsonl");
    expect(counts).to.deep.equal({
      received: blocks * 1_002,
      accepted: blocks * 1_000,
      duplicates: blocks,
      quarantined: { BAD_JSON: blocks },
    });
    const rows = async (bucket: string): Promise<number> => {
      const address = objects.find((object) => object.startsWith(`s3://${bucket}/`)) ?? "";
      const file = bench.store.pathOf(bucket, address.slice(`s3://${bucket}/`.length));
      return Number((await parquetMetadataAsync(await asyncBufferFromFile(file))).num_rows);
    };
    expect(await rows(testTargets.curatedBucket)).to.equal(blocks * 1_000);
    expect(await rows(testTargets.quarantineBucket)).to.equal(blocks);
  }).timeout(600_000);
});
