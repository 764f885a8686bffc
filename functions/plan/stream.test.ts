import { expect } from "chai";
import { documents, planned, sourceDocument, TestPipeline } from "../testing/pipeline.ts";
import { rejection } from "../testing/rejection.ts";
import { progressKey } from "./stream.ts";

const limits = {
  sessionGapMinutes: 30,
  lateMinutes: 120,
  deduplicationHours: 24,
  clockAheadMinutes: 5,
  clockBehindDays: 30,
  maxRecordBytes: 65536,
};

describe("plan of a stream", () => {
  let pipeline: TestPipeline;
  const streamed = (text: string) => pipeline.store.putText("test-landing", progressKey("clicks"), text);
  const changed = (at: string | null) => streamed(JSON.stringify({ batch_id: "clicks-1", changed_at: at }));

  beforeEach(async () => {
    const clicks = sourceDocument("clicks", { kind: "kinesis", stream: "clicks", ...limits });
    pipeline = await TestPipeline.start([...documents, clicks]);
  });
  afterEach(() => pipeline.stop());

  it("is none while the stream has written nothing", async () => {
    await pipeline.run();
    pipeline.passMinutes(5);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
    await changed(null);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
  });

  it("exports what the stream wrote, once", async () => {
    await pipeline.run();
    pipeline.passMinutes(5);
    await changed("2026-03-01T12:03:00.000Z");
    const answer = planned(await pipeline.plan(pipeline.execution()));
    expect(answer).to.include({ from: "export", hasMysql: false, hasDynamodb: false, hasCsv: false });
    const plan = await pipeline.planOf(answer);
    expect(plan).to.deep.include({ extracts: [], landing: [], claims: [] });
    expect(plan.watermarks).to.deep.equal({ clicks: { watermark: "2026-03-01T12:03:00.000Z" } });
  });

  it("loads it with what else is new, and not again", async () => {
    await changed("2026-03-01T12:00:00.000Z");
    const plan = await pipeline.run();
    expect(plan.extracts).to.have.length(4);
    expect(plan.watermarks.clicks).to.deep.equal({ watermark: "2026-03-01T12:00:00.000Z" });
    pipeline.passMinutes(5);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
    await changed("2026-03-01T12:00:00.001Z");
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("PLANNED");
  });

  it("refuses a progress that it cannot read", async () => {
    await streamed('{"changed_at": "yesterday"}');
    const error = await rejection(pipeline.plan(pipeline.execution()));
    expect(error.message).to.contain(progressKey("clicks")).and.contain("changed_at");
  });
});
