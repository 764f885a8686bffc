import { ScanCommand } from "@aws-sdk/lib-dynamodb";
import { expect } from "chai";
import { type LocalDynamodb, startDynamodb } from "../../local/adapters/dynamodbServer.ts";
import { rejection } from "../testing/rejection.ts";
import { Ledger } from "./ledger.ts";

const noon = new Date("2026-03-01T12:00:00Z");
const later = (minutes: number): Date => new Date(noon.getTime() + minutes * 60_000);
const object = (version: string, key = "drops/a.csv") => ({ bucket: "landing", key, version });

describe("ledger", () => {
  let server: LocalDynamodb;
  let ledger: Ledger;
  before(async () => {
    server = await startDynamodb();
  });
  after(() => server.close());
  let pipelines = 0;
  beforeEach(() => {
    pipelines += 1;
    ledger = new Ledger(server.client, server.ledgerTable, `p${pipelines}`);
  });

  const acquire = (owner: string, at: Date, expiresAt = later(60)) =>
    ledger.acquireLease({ owner, batchId: `batch-${owner}`, expiresAt }, at);

  describe("lease", () => {
    it("is held by one, asked for again by its owner, and free after its release", async () => {
      expect(await acquire("a", noon)).to.deep.equal({ acquired: true });
      expect(await acquire("b", later(1))).to.deep.equal({
        acquired: false,
        holder: { owner: "a", batchId: "batch-a", expiresAt: later(60) },
      });
      expect(await acquire("a", later(1))).to.deep.equal({ acquired: true });
      expect(await ledger.releaseLease("b")).to.equal(false);
      expect(await ledger.releaseLease("a")).to.equal(true);
      expect(await acquire("b", later(1))).to.deep.equal({ acquired: true });
    });

    it("is won by exactly one of many", async () => {
      const owners = Array.from({ length: 12 }, (_, index) => `o${index}`);
      const answers = await Promise.all(owners.map((owner) => acquire(owner, noon)));
      expect(answers.filter(({ acquired }) => acquired)).to.have.length(1);
    });

    it("is taken over when it has expired, not before", async () => {
      await acquire("a", noon);
      expect((await acquire("b", later(59))).acquired).to.equal(false);
      expect(await acquire("b", later(60), later(120))).to.deep.equal({
        acquired: true,
        expired: { owner: "a", batchId: "batch-a", expiresAt: later(60) },
      });
      const error = await rejection(ledger.renewLease("a", later(180)));
      expect(error.name).to.equal("LeaseLostError");
    });

    it("is renewed by its owner", async () => {
      await acquire("a", noon);
      await ledger.renewLease("a", later(90));
      expect((await acquire("b", later(61))).acquired).to.equal(false);
    });

    it("belongs to one pipeline", async () => {
      await acquire("a", noon);
      const other = new Ledger(server.client, server.ledgerTable, `p${pipelines}-other`);
      expect(
        (await other.acquireLease({ owner: "b", batchId: "b", expiresAt: later(60) }, noon)).acquired,
      ).to.equal(true);
    });
  });

  describe("claims", () => {
    it("take an object version once", async () => {
      expect(await ledger.claim(object("1"), "b1")).to.equal(true);
      expect(await ledger.claim(object("1"), "b1")).to.equal(true);
      expect(await ledger.claim(object("1"), "b2")).to.equal(false);
      expect(await ledger.unclaimed([object("1"), object("2")])).to.deep.equal([object("2")]);
    });

    it("let a version come back after another took its place", async () => {
      await ledger.claim(object("1"), "b1");
      await ledger.claim(object("2"), "b2");
      expect(await ledger.unclaimed([object("1")])).to.deep.equal([object("1")]);
      expect(await ledger.claim(object("1"), "b3")).to.equal(true);
      expect(await ledger.unclaimed([object("1"), object("2")])).to.deep.equal([object("2")]);
    });

    it("of an old batch do not displace a newer version", async () => {
      await ledger.claim(object("2"), "b2");
      await ledger.claim(object("1"), "b1");
      await ledger.claim(object("1"), "b1");
      // Dropped again, the old content would be new work.
      expect(await ledger.unclaimed([object("1"), object("2")])).to.deep.equal([object("1")]);
    });

    it("keep keys apart that go on after the separator", async () => {
      await ledger.claim(object("1", "drops/a.csv#old"), "b1");
      await ledger.claim(object("1", "drops/a.csv"), "b2");
      expect(await ledger.unclaimed([object("1", "drops/a.csv#old")])).to.deep.equal([]);
    });

    it("take the longest keys and versions that S3 has", async () => {
      const long = object("v".repeat(100), `drops/${"å".repeat(509)}`);
      expect(await ledger.claim(long, "b1")).to.equal(true);
      expect(await ledger.unclaimed([long])).to.deep.equal([]);
      const { Items = [] } = await server.client.send(new ScanCommand({ TableName: server.ledgerTable }));
      // What DynamoDB takes, and this server does not check.
      for (const { sk } of Items) expect(Buffer.byteLength(String(sk))).to.be.at.most(1024);
    });

    it("are looked up for more objects than one request takes", async () => {
      const objects = Array.from({ length: 230 }, (_, index) => object("1", `drops/${index}.csv`));
      for (const one of [objects[0], objects[150], objects[229]]) if (one) await ledger.claim(one, "b1");
      expect(await ledger.unclaimed(objects)).to.have.length(227);
    });
  });

  it("moves watermarks forward only", async () => {
    const mark = (watermark: string) => ({ watermark });
    expect(await ledger.advanceWatermark("d", mark("2026-03-01T12:00:00.000Z"), "b1")).to.equal(true);
    expect(await ledger.advanceWatermark("d", mark("2026-03-01T11:00:00.000Z"), "b0")).to.equal(false);
    expect(await ledger.advanceWatermark("d", mark("2026-03-01T12:00:00.000Z"), "b1")).to.equal(true);
    expect((await ledger.watermarks(["d", "e"])).get("d")).to.deep.equal(mark("2026-03-01T12:00:00.000Z"));
  });
});
