import { expect } from "chai";
import { planned, TestPipeline } from "../testing/pipeline.ts";
import { rejection } from "../testing/rejection.ts";

const step = (name: string, datasets: object) => ({
  step: name,
  started_at: `2026-03-01T12:0${name.length % 10}:00Z`,
  ended_at: "2026-03-01T12:10:00Z",
  datasets,
});

describe("commit and abort", () => {
  let pipeline: TestPipeline;
  beforeEach(async () => {
    pipeline = await TestPipeline.start();
  });
  afterEach(() => pipeline.stop());

  it("writes the summary, claims and watermarks, and gives the lease back", async () => {
    const execution = pipeline.execution();
    const answer = planned(await pipeline.plan(execution));
    const plan = await pipeline.planOf(answer);
    expect(await pipeline.ledger.unclaimed(plan.claims)).to.have.length(1);
    await pipeline.putRunFile(
      answer.batchId,
      "csv_to_parquet.json",
      step("csv_to_parquet", { transactions: { read: 3 } }),
    );
    const cleaned = {
      read: 3,
      loaded: 1,
      deduplicated: { exact_copy: 1 },
      quarantined: { BAD_TYPE_AMOUNT: 1 },
    };
    await pipeline.putRunFile(answer.batchId, "clean.json", step("clean", { transactions: cleaned }));
    await pipeline.putRunFile(answer.batchId, "snapshots.json", { orders: 17 });

    pipeline.passMinutes(20);
    const committed = await pipeline.commit(execution, answer);
    expect(committed).to.deep.equal({
      status: "COMMITTED",
      pending: false,
      summaryKey: `runs/${answer.batchId}/summary.json`,
    });
    const summary = JSON.parse(await pipeline.store.getText("test-staging", committed.summaryKey));
    expect(summary).to.include({
      batch_id: answer.batchId,
      mode: "incremental",
      started_at: "2026-03-01T12:00:00.000Z",
      ended_at: "2026-03-01T12:20:00.000Z",
    });
    expect(summary.datasets).to.deep.equal({ transactions: { ...cleaned, refused: [] } });
    expect(summary.steps.map((one: { step: string }) => one.step)).to.deep.equal(["csv_to_parquet", "clean"]);
    expect(await pipeline.ledger.unclaimed(plan.claims)).to.deep.equal([]);
    const marks = await pipeline.ledger.watermarks(["customers", "mobile_orders", "transactions"]);
    expect(Object.fromEntries(marks)).to.deep.equal({
      customers: { watermark: "2026-03-01T12:00:00.000Z", reconciled_at: "2026-03-01T12:00:00.000Z" },
      mobile_orders: { watermark: "2026-03-01T12:00:00.000Z" },
    });
    expect(await pipeline.ledger.lease()).to.equal(undefined);
    expect(await pipeline.ledger.batch(answer.batchId)).to.include({
      state: "SUCCEEDED",
      committed_at: "2026-03-01T12:20:00.000Z",
      summary_key: committed.summaryKey,
    });
    expect(await pipeline.ledger.loadedBatch()).to.equal(answer.batchId);
  });

  it("answers the same when it is called twice, though another run began meanwhile", async () => {
    const execution = pipeline.execution();
    const answer = await pipeline.plan(execution);
    const first = await pipeline.commit(execution, answer);
    await pipeline.drop("transactions/b.csv", "id\n2\n");
    pipeline.passMinutes(1);
    const next = planned(await pipeline.plan(pipeline.execution()));
    expect(await pipeline.commit(execution, answer)).to.deep.equal(first);
    expect((await pipeline.ledger.lease())?.batchId).to.equal(next.batchId);
    expect((await pipeline.ledger.batch(answer.batchId))?.ended_at).to.equal("2026-03-01T12:00:00.000Z");
  });

  it("finishes what an interrupted commit began", async () => {
    const execution = pipeline.execution();
    const answer = planned(await pipeline.plan(execution));
    const plan = await pipeline.planOf(answer);
    for (const claim of plan.claims) await pipeline.ledger.claim(claim, plan.batch_id);
    expect(await pipeline.commit(execution, answer)).to.include({ status: "COMMITTED" });
    expect(await pipeline.ledger.watermarks(["customers"])).to.have.length(1);
  });

  it("writes nothing when the lease was taken over", async () => {
    const slow = pipeline.execution();
    const answer = await pipeline.plan(slow);
    pipeline.passMinutes(61);
    const taker = pipeline.execution();
    const taken = planned(await pipeline.plan(taker, {}, planned(answer).planKey));
    const error = await rejection(pipeline.commit(slow, answer));
    expect(error.name).to.equal("LeaseLostError");
    expect(error.message).to.contain(taken.batchId).and.to.contain("LEASE_MINUTES");
    expect(await pipeline.ledger.watermarks(["customers"])).to.have.length(0);
    // The slow run's failure handling must not take the lease from the one that has it now.
    await pipeline.abort(slow, answer.batchId);
    expect((await pipeline.ledger.lease())?.owner).to.equal(taker.id);
  });

  it("does not move a watermark back when an old batch is replayed", async () => {
    const old = await pipeline.run();
    pipeline.passMinutes(30);
    pipeline.customersChanged = new Date("2026-03-01T12:20:00.000Z");
    await pipeline.run();
    const replay = pipeline.execution();
    const answer = await pipeline.plan(replay, { replay: { batch_id: old.batch_id, from: "clean" } });
    await pipeline.commit(replay, answer);
    const marks = await pipeline.ledger.watermarks(["customers"]);
    expect(marks.get("customers")?.watermark).to.equal("2026-03-01T12:30:00.000Z");
    expect(await pipeline.ledger.loadedBatch()).to.equal(old.batch_id);
    expect(await pipeline.ledger.batch(old.batch_id)).to.include({
      committed_at: "2026-03-01T12:00:00.000Z",
      ended_at: "2026-03-01T12:30:00.000Z",
    });
  });

  it("refuses an execution that did not run the batch, also when the batch is committed", async () => {
    const execution = pipeline.execution();
    const answer = await pipeline.plan(execution);
    await pipeline.commit(execution, answer);
    expect((await rejection(pipeline.commit(pipeline.execution(), answer))).name).to.equal("LeaseLostError");
  });

  it("refuses a batch that was never planned", async () => {
    const answer = {
      ...planned(await pipeline.plan(pipeline.execution())),
      batchId: "20200101T000000Z-00000000",
    };
    expect((await rejection(pipeline.commit(pipeline.execution(), answer))).message).to.contain(
      "only a planned batch",
    );
  });

  it("aborts: the batch failed with its reason, the lease is free, nothing counts as processed", async () => {
    const execution = pipeline.execution();
    const answer = planned(await pipeline.plan(execution));
    const plan = await pipeline.planOf(answer);
    await pipeline.drop("transactions/b.csv", "id\n2\n");
    await pipeline.plan(pipeline.execution());
    expect(await pipeline.abort(execution, answer.batchId)).to.deep.equal({
      status: "ABORTED",
      batchId: answer.batchId,
      pending: true,
    });
    expect(await pipeline.ledger.batch(answer.batchId)).to.include({
      state: "FAILED",
      error: "Boom",
      cause: "clean: it broke",
    });
    const again = await pipeline.planOf(await pipeline.plan(pipeline.execution()));
    expect(again.claims).to.deep.include.members(plan.claims);
    expect(again.claims).to.have.length(2);
  });

  it("aborts a run that failed before it had a plan", async () => {
    expect(await pipeline.abort(pipeline.execution())).to.include({ status: "ABORTED", pending: false });
    expect(await pipeline.ledger.batches()).to.deep.equal([]);
  });

  it("does not fail a batch that this execution committed", async () => {
    const execution = pipeline.execution();
    const answer = await pipeline.plan(execution);
    await pipeline.commit(execution, answer);
    await pipeline.abort(execution, answer.batchId);
    expect(await pipeline.ledger.batch(answer.batchId)).to.include({ state: "SUCCEEDED" });
  });
});
