import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect } from "chai";
import { planned, TestPipeline } from "../testing/pipeline.ts";
import { parseInput } from "./input.ts";

const recorded = async (): Promise<unknown> =>
  JSON.parse(await readFile(path.join(import.meta.dirname, "fixtures/object-created.json"), "utf8"));

describe("input of the workflow", () => {
  it("accepts every form", async () => {
    expect(parseInput({})).to.deep.equal({ kind: "incremental", trigger: "manual" });
    expect(parseInput({ source: "aws.events", "detail-type": "Scheduled Event", detail: {} })).to.deep.equal({
      kind: "incremental",
      trigger: "Scheduled Event",
    });
    expect(parseInput(await recorded())).to.deep.equal({
      kind: "incremental",
      trigger: "s3://test-landing/drops/transactions/a.csv",
    });
    expect(parseInput({ backfill: { from: "2026-02-28", to: "2026-02-28" } })).to.deep.equal({
      kind: "backfill",
      range: { from: "2026-02-28", to: "2026-02-28" },
    });
    expect(parseInput({ replay: { batch_id: "20260301T120000Z-0a1b2c3d", from: "load" } })).to.deep.equal({
      kind: "replay",
      batchId: "20260301T120000Z-0a1b2c3d",
      from: "load",
    });
  });

  it("starts a run from a recorded event, and from the same event again none", async () => {
    const pipeline = await TestPipeline.start();
    try {
      const execution = pipeline.execution();
      const answer = planned(await pipeline.plan(execution, await recorded()));
      expect(answer.hasCsv).to.equal(true);
      await pipeline.commit(execution, answer);
      expect((await pipeline.plan(pipeline.execution(), await recorded())).status).to.equal("NOTHING_NEW");
    } finally {
      await pipeline.stop();
    }
  });

  const malformed: [name: string, input: unknown, says: string][] = [
    ["no object", "run", "accepted are"],
    ["null", null, "accepted are"],
    ["a list", [], "accepted are"],
    ["unknown fields", { backfil: {} }, "unknown fields backfil"],
    ["a day that does not exist", { backfill: { from: "2026-02-30", to: "2026-03-01" } }, "backfill.from"],
    [
      "a range backwards",
      { backfill: { from: "2026-03-02", to: "2026-03-01" } },
      "from must not be after to",
    ],
    ["half a range", { backfill: { from: "2026-03-02" } }, "backfill.to"],
    [
      "an unknown step",
      { replay: { batch_id: "20260301T120000Z-0a1b2c3d", from: "lod" } },
      "extract, recipes, clean",
    ],
    ["no batch id", { replay: { batch_id: "../secrets", from: "load" } }, "20260102T030405Z-1a2b3c4d"],
    ["backfill and replay", { backfill: { from: "2026-03-01", to: "2026-03-01" }, replay: {} }, "replay"],
    ["another S3 event", { source: "aws.s3", "detail-type": "Object Deleted", detail: {} }, "Object Created"],
    [
      "an S3 event without key",
      { source: "aws.s3", "detail-type": "Object Created", detail: {} },
      "detail.bucket",
    ],
    ["an event of another service", { source: "aws.ec2", "detail-type": "x" }, "source"],
  ];
  for (const [name, input, says] of malformed) {
    it(`refuses ${name}`, () => {
      expect(() => parseInput(input))
        .to.throw(Error, says)
        .with.property("name", "InvalidInputError");
    });
  }
});
