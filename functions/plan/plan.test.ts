import { expect } from "chai";
import { planned, TestPipeline } from "../testing/pipeline.ts";
import { rejection } from "../testing/rejection.ts";
import { createHandler } from "./handler.ts";

const datasets = (plan: { extracts: { dataset: string }[] }): string[] =>
  plan.extracts.map(({ dataset }) => dataset);

/** Keys of the drops that a plan reads. */
function dropsOf(plan: Awaited<ReturnType<TestPipeline["planOf"]>>): string[] {
  return plan.extracts.flatMap((one) => (one.kind === "csv" ? one.objects.map(({ key }) => key) : []));
}

describe("plan", () => {
  let pipeline: TestPipeline;
  beforeEach(async () => {
    pipeline = await TestPipeline.start();
  });
  afterEach(() => pipeline.stop());

  it("reads everything the first time", async () => {
    const execution = pipeline.execution();
    const answer = planned(await pipeline.plan(execution));
    const plan = await pipeline.planOf(answer);
    expect(datasets(plan)).to.have.members(["customers", "mobile_orders", "mobile_items", "transactions"]);
    const customers = plan.extracts.find(({ dataset }) => dataset === "customers");
    expect(customers).to.deep.equal({
      dataset: "customers",
      kind: "mysql",
      table: "customers",
      watermark_column: "updated_at",
      from: null,
      to: "2026-03-01T12:00:00.000Z",
      reconcile: false,
    });
    expect(answer).to.include({
      from: "extract",
      mode: "incremental",
      hasMysql: true,
      hasDynamodb: true,
      hasCsv: true,
    });
    expect(answer, "nothing is traced").not.to.have.property("traceHeader");
    expect(answer.batchId).to.match(/^20260301T120000Z-[0-9a-f]{8}$/);
    expect(answer.planKey).to.equal(`plans/${answer.batchId}.json`);
    expect(plan.landing[0]?.path).to.equal(`s3://test-landing/batches/customers/batch=${answer.batchId}/`);
    expect(plan.loaded_batch).to.equal(null);
  });

  it("has the tables maintained once a day: in the first run of a day after something was loaded", async () => {
    const due = async (ends: "commit" | "abort" = "commit"): Promise<boolean> => {
      pipeline.passMinutes(5);
      await pipeline.drop(`transactions/${pipeline.time.getTime()}.csv`, "id\n1\n");
      const execution = pipeline.execution();
      const answer = planned(await pipeline.plan(execution));
      if (ends === "abort") await pipeline.abort(execution, answer.batchId);
      else await pipeline.commit(execution, answer);
      return answer.maintain;
    };
    expect(await due(), "nothing was loaded").to.equal(false);
    expect(await due(), "the same day").to.equal(false);
    pipeline.passMinutes(24 * 60);
    expect(await due("abort"), "the next day").to.equal(true);
    expect(await due(), "the run before failed").to.equal(true);
    expect(await due(), "the same day again").to.equal(false);
  });

  it("hands on the trace under which it was called", async () => {
    // Lambda's runtime sets it anew for each call: the execution's trace, and this function's segment in it.
    const header =
      "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0";
    process.env._X_AMZN_TRACE_ID = header;
    try {
      expect(planned(await pipeline.plan(pipeline.execution())).traceHeader).to.equal(header);
    } finally {
      delete process.env._X_AMZN_TRACE_ID;
    }
  });

  it("exports a table once for all datasets that read it", async () => {
    const answer = planned(await pipeline.plan(pipeline.execution()));
    expect(answer.exports).to.have.length(1);
    const plan = await pipeline.planOf(answer);
    const exports = plan.extracts.flatMap((one) => (one.kind === "dynamodb" ? one.exports : []));
    expect(exports).to.deep.equal([answer.exports[0], answer.exports[0]]);
    expect(answer.exports[0]).to.include({ type: "FULL_EXPORT", from: null, to: "2026-03-01T12:00:00.000Z" });
  });

  it("says nothing new when nothing changed, and writes nothing", async () => {
    await pipeline.run();
    pipeline.passMinutes(120);
    const answer = await pipeline.plan(pipeline.execution());
    expect(answer.status).to.equal("NOTHING_NEW");
    expect(await pipeline.ledger.batches()).to.have.length(1);
    expect(await pipeline.store.list("test-landing", "plans/")).to.have.length(1);
    expect(await pipeline.ledger.lease()).to.equal(undefined);
  });

  it("reads one more drop alone", async () => {
    const first = await pipeline.run();
    pipeline.passMinutes(5);
    await pipeline.drop("transactions/b.csv", "id\n2\n");
    const plan = await pipeline.run();
    expect(datasets(plan)).to.deep.equal(["transactions"]);
    expect(dropsOf(plan)).to.deep.equal(["drops/transactions/b.csv"]);
    expect(plan.watermarks).to.deep.equal({});
    expect(plan.loaded_batch).to.equal(first.batch_id);
  });

  it("reads a corrected drop again, and again when the correction is taken back", async () => {
    await pipeline.run();
    const versions: (string | undefined)[] = [];
    for (const content of ["id\n9\n", "id\n1\n"]) {
      pipeline.passMinutes(5);
      await pipeline.drop("transactions/a.csv", content);
      const plan = await pipeline.run();
      expect(dropsOf(plan)).to.deep.equal(["drops/transactions/a.csv"]);
      versions.push(plan.claims[0]?.version);
    }
    expect(versions[0]).to.not.equal(versions[1]);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
  });

  it("makes one plan of fifty drops, oldest first, and leaves markers and hidden files out", async () => {
    for (let index = 50; index > 0; index -= 1) {
      pipeline.passMinutes(1);
      await pipeline.drop(`campaigns/${String(index).padStart(2, "0")}.csv`, `id\n${index}\n`);
    }
    await pipeline.drop("campaigns/.DS_Store", "");
    const answer = planned(await pipeline.plan(pipeline.execution()));
    const plan = await pipeline.planOf(answer);
    const drops = dropsOf(plan).filter((key) => key.includes("campaigns"));
    expect(drops).to.have.length(50);
    expect(drops[0]).to.equal("drops/campaigns/50.csv");
    expect(plan.claims).to.have.length(51);
    expect(answer.recipes).to.deep.equal(["campaigns"]);
  });

  it("takes rows changed after the watermark, with the overlap, up to the database's clock", async () => {
    await pipeline.run();
    pipeline.passMinutes(30);
    pipeline.customersChanged = new Date("2026-03-01T12:20:00.000Z");
    const plan = await pipeline.run();
    expect(plan.extracts).to.deep.equal([
      {
        dataset: "customers",
        kind: "mysql",
        table: "customers",
        watermark_column: "updated_at",
        from: "2026-03-01T11:50:00.000Z",
        to: "2026-03-01T12:30:00.000Z",
        reconcile: false,
      },
    ]);
    // The reconciliation's clock goes on from the first full read.
    expect(plan.watermarks.customers?.reconciled_at).to.equal("2026-03-01T12:00:00.000Z");
  });

  it("reconciles after the configured time though no row changed", async () => {
    await pipeline.run();
    pipeline.passMinutes(24 * 60);
    const plan = await pipeline.run();
    const customers = plan.extracts.find(({ dataset }) => dataset === "customers");
    expect(customers).to.include({ reconcile: true });
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
  });

  it("continues a table's exports where the last one ended, and only when an item changed", async () => {
    const first = await pipeline.run();
    pipeline.passMinutes(10);
    await pipeline.changeOrders("2026-03-01T12:05:00.000000Z", "O2");
    const execution = pipeline.execution();
    const answer = planned(await pipeline.plan(execution));
    expect(answer.exports).to.have.length(1);
    expect(answer.exports[0]).to.include({
      type: "INCREMENTAL_EXPORT",
      from: first.watermarks.mobile_orders?.watermark,
      to: "2026-03-01T12:10:00.000Z",
    });
    await pipeline.commit(execution, answer);
    pipeline.passMinutes(10);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
  });

  it("exports in full again, and reconciles, when the gap is longer than the recovery window", async () => {
    await pipeline.run();
    pipeline.passMinutes(36 * 24 * 60);
    const plan = await pipeline.planOf(await pipeline.plan(pipeline.execution()));
    const orders = plan.extracts.find(({ dataset }) => dataset === "mobile_orders");
    expect(orders).to.include({ reconcile: true });
    expect(orders).to.have.nested.property("exports[0].type", "FULL_EXPORT");
  });

  it("plans the same work again after a crash before the commit, and fails the dead batch", async () => {
    const dead = planned(await pipeline.plan(pipeline.execution()));
    const before = await pipeline.planOf(dead);
    pipeline.passMinutes(61);
    const execution = pipeline.execution();
    // It may have been killed while it published.
    expect(await pipeline.plan(execution)).to.include({ status: "ROLL_BACK", planKey: dead.planKey });
    const again = planned(await pipeline.plan(execution, {}, dead.planKey));
    const after = await pipeline.planOf(again);
    expect(again.batchId).to.not.equal(dead.batchId);
    expect(after.claims).to.deep.equal(before.claims);
    expect(datasets(after)).to.deep.equal(datasets(before));
    expect(await pipeline.ledger.batch(dead.batchId)).to.include({ state: "FAILED", error: "LeaseExpired" });
  });

  it("plans nothing before a run whose rollback failed has been rolled back", async () => {
    const failing = pipeline.execution();
    const { batchId, planKey } = planned(await pipeline.plan(failing));
    for (const _ of [1, 2]) await pipeline.abort(failing, batchId, { rollbackFailed: true }); // the step may be repeated
    for (const _ of [1, 2]) {
      const execution = pipeline.execution();
      expect(await pipeline.plan(execution)).to.deep.equal({ status: "ROLL_BACK", batchId, planKey });
      expect(await pipeline.plan(execution, {}, "plans/other.json")).to.include({ status: "ROLL_BACK" });
      await pipeline.abort(execution); // its rollback failed, too
    }
    const execution = pipeline.execution();
    expect((await pipeline.plan(execution, {}, planKey)).status).to.equal("PLANNED");
    await pipeline.abort(execution, planned(await pipeline.plan(execution, {}, planKey)).batchId);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("PLANNED");
  });

  it("looks into earlier batches only for tables in which something else can take a row's place", async () => {
    const first = await pipeline.run();
    expect(first.history).to.deep.equal([]);
    await pipeline.drop("transactions/b.csv", "id\n2\n");
    pipeline.customersChanged = new Date(pipeline.time.getTime() + 1000);
    pipeline.passMinutes(5);
    const second = await pipeline.run();
    expect(datasets(second)).to.include.members(["customers", "transactions"]);
    const landed = (plan: typeof first) => plan.landing.filter(({ dataset }) => dataset === "transactions");
    expect(second.history).to.deep.equal(landed(first));
    const input = { replay: { batch_id: first.batch_id, from: "clean" } };
    const replay = await pipeline.planOf(await pipeline.plan(pipeline.execution(), input));
    expect(replay.history).to.deep.equal(second.landing.filter((folder) => !first.landing.includes(folder)));
  });

  it("answers for the same batch when the step is retried", async () => {
    const execution = pipeline.execution();
    const first = await pipeline.plan(execution);
    pipeline.passMinutes(1);
    expect((await pipeline.plan(execution)).batchId).to.equal(first.batchId);
    expect(await pipeline.ledger.batches()).to.have.length(1);
  });

  it("names a wrong overlap in a contract, and gives the lease back", async () => {
    await pipeline.run();
    const key = ["test-artifacts", "contracts.json"] as const;
    const text = await pipeline.store.getText(...key);
    await pipeline.store.putText(
      ...key,
      text.replace('"kind":"mysql"', '"kind":"mysql","overlapMinutes":"ten"'),
    );
    pipeline.customersChanged = new Date("2026-03-02T00:00:00.000Z");
    const error = await rejection(pipeline.plan(pipeline.execution()));
    expect(error.message).to.match(/customers in s3:.*overlapMinutes/s);
    expect(await pipeline.ledger.lease()).to.equal(undefined);
  });

  const withdrawn = async (published: boolean): Promise<void> => {
    await pipeline.run();
    pipeline.passMinutes(5);
    await pipeline.drop("transactions/withdrawn.csv", "id\n3\n");
    const failing = pipeline.execution();
    await pipeline.abort(failing, planned(await pipeline.plan(failing)).batchId, { published });
    await pipeline.withdraw("transactions/withdrawn.csv");
    pipeline.passMinutes(5);
  };

  it("finds nothing new after a run that failed before it published", async () => {
    await withdrawn(false);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
  });

  it("exports once more after a run that failed later, though nothing is new: its load may be half done", async () => {
    await withdrawn(true);
    const again = pipeline.execution();
    const answer = await pipeline.plan(again);
    expect(answer).to.include({ status: "PLANNED", from: "export" });
    expect(await pipeline.planOf(answer)).to.deep.include({ extracts: [], claims: [], landing: [] });
    await pipeline.commit(again, answer);
    expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
  });

  describe("backfill and replay", () => {
    it("backfills from what committed batches landed, oldest first", async () => {
      const first = await pipeline.run();
      pipeline.passMinutes(5);
      await pipeline.drop("campaigns/x.csv", "id\n1\n");
      const second = await pipeline.run();
      pipeline.passMinutes(5);
      await pipeline.drop("transactions/failed.csv", "id\n3\n");
      const failing = pipeline.execution();
      await pipeline.abort(failing, planned(await pipeline.plan(failing)).batchId);

      const answer = planned(
        await pipeline.plan(pipeline.execution(), { backfill: { from: "2026-02-01", to: "2026-02-07" } }),
      );
      const plan = await pipeline.planOf(answer);
      expect(answer).to.include({
        mode: "backfill",
        from: "recipes",
        hasMysql: false,
        hasDynamodb: false,
        hasCsv: false,
      });
      expect(plan.range).to.deep.equal({ from: "2026-02-01", to: "2026-02-07" });
      expect(plan.landing).to.deep.equal([...first.landing, ...second.landing]);
      expect(plan).to.deep.include({ extracts: [], claims: [], watermarks: {}, recipes: ["campaigns"] });
    });

    it("leaves out of a backfill what the landing zone no longer holds", async () => {
      const run = await pipeline.run();
      await pipeline.expire(run, "customers");
      const answer = await pipeline.plan(pipeline.execution(), {
        backfill: { from: "2026-02-01", to: "2026-02-07" },
      });
      const left = run.landing.filter(({ dataset }) => dataset !== "customers");
      expect(left).to.have.length(run.landing.length - 1);
      expect((await pipeline.planOf(answer)).landing).to.deep.equal(left);
    });

    it("has nothing to backfill before the first run", async () => {
      const answer = await pipeline.plan(pipeline.execution(), {
        backfill: { from: "2026-02-01", to: "2026-02-07" },
      });
      expect(answer.status).to.equal("NOTHING_NEW");
    });

    it("replays a batch from a step with its own plan, which stays as it was", async () => {
      const original = await pipeline.run();
      pipeline.passMinutes(5);
      const execution = pipeline.execution();
      const input = { replay: { batch_id: original.batch_id, from: "clean" } };
      const answer = planned(await pipeline.plan(execution, input));
      expect(answer).to.include({ mode: "replay", from: "clean", batchId: original.batch_id });
      expect(answer.planKey).to.not.equal(`plans/${original.batch_id}.json`);
      const { mode, loaded_batch, history, ...replayed } = await pipeline.planOf(answer);
      const { mode: firstMode, loaded_batch: firstLoaded, history: firstHistory, ...first } = original;
      expect([history, firstHistory]).to.deep.equal([[], []]);
      expect(replayed).to.deep.equal(first);
      expect([firstMode, firstLoaded, mode, loaded_batch]).to.deep.equal([
        "incremental",
        null,
        "replay",
        original.batch_id,
      ]);
    });

    it("exports to another place when it replays the extraction", async () => {
      const original = await pipeline.run();
      const input = { replay: { batch_id: original.batch_id, from: "extract" } };
      const answer = planned(await pipeline.plan(pipeline.execution(), input));
      const prefixes = original.extracts.flatMap((one) =>
        one.kind === "dynamodb" ? one.exports.map(({ prefix }) => prefix) : [],
      );
      expect(answer.exports).to.have.length(1);
      expect(prefixes).to.not.include(answer.exports[0]?.prefix);
    });

    it("keeps a committed batch in later backfills though its replay fails", async () => {
      const original = await pipeline.run();
      pipeline.passMinutes(5);
      const replay = pipeline.execution();
      await pipeline.plan(replay, { replay: { batch_id: original.batch_id, from: "load" } });
      await pipeline.abort(replay, original.batch_id);
      expect(await pipeline.ledger.batch(original.batch_id)).to.include({ state: "FAILED", error: "Boom" });
      const backfill = await pipeline.plan(pipeline.execution(), {
        backfill: { from: "2026-02-01", to: "2026-02-01" },
      });
      expect((await pipeline.planOf(backfill)).landing).to.deep.equal(original.landing);
    });

    it("refuses to replay an unknown batch and names the latest ones", async () => {
      const original = await pipeline.run();
      const input = { replay: { batch_id: "20200101T000000Z-00000000", from: "clean" } };
      const error = await rejection(pipeline.plan(pipeline.execution(), input));
      expect(error.name).to.equal("InvalidInputError");
      expect(error.message).to.contain(original.batch_id);
      expect(await pipeline.ledger.lease()).to.equal(undefined);
    });
  });

  describe("two runs at once", () => {
    it("lets one run and tells the other who is running", async () => {
      const executions = [pipeline.execution(), pipeline.execution()];
      const answers = await Promise.all(executions.map((execution) => pipeline.plan(execution)));
      expect(answers.map(({ status }) => status).sort()).to.deep.equal(["BUSY", "PLANNED"]);
      const busy = answers.find(({ status }) => status === "BUSY");
      const running = answers.find(({ status }) => status === "PLANNED");
      expect(busy).to.have.property("reason").that.contains(running?.batchId);
    });

    it("tells the running one at its commit that more work came, also for events that come twice", async () => {
      const execution = pipeline.execution();
      const answer = await pipeline.plan(execution);
      await pipeline.drop("transactions/b.csv", "id\n2\n");
      expect((await pipeline.plan(pipeline.execution())).status).to.equal("BUSY");
      expect((await pipeline.plan(pipeline.execution())).status).to.equal("BUSY");
      expect(await pipeline.commit(execution, answer)).to.include({ pending: true });
      const next = await pipeline.run();
      expect(dropsOf(next)).to.deep.equal(["drops/transactions/b.csv"]);
      expect((await pipeline.plan(pipeline.execution())).status).to.equal("NOTHING_NEW");
      expect(await pipeline.ledger.isPending()).to.equal(false);
    });

    it("looks again when an event came while it was looking", async () => {
      await pipeline.run();
      pipeline.passMinutes(5);
      const { store } = pipeline.deps;
      let listed = false;
      const late = {
        getText: store.getText.bind(store),
        putText: store.putText.bind(store),
        head: store.head.bind(store),
        list: async (bucket: string, prefix: string) => {
          const found = await store.list(bucket, prefix);
          if (!listed && prefix === "drops/transactions/") {
            listed = true;
            await pipeline.drop("transactions/late.csv", "id\n7\n");
            expect((await pipeline.plan(pipeline.execution())).status).to.equal("BUSY");
          }
          return found;
        },
      };
      const answer = await createHandler({ ...pipeline.deps, store: late })({
        execution: pipeline.execution(),
        input: {},
      });
      expect(dropsOf(await pipeline.planOf(answer))).to.deep.equal(["drops/transactions/late.csv"]);
    });

    it("leaves no mark for a backfill that found the pipeline busy", async () => {
      await pipeline.plan(pipeline.execution());
      const input = { backfill: { from: "2026-02-01", to: "2026-02-01" } };
      expect((await pipeline.plan(pipeline.execution(), input)).status).to.equal("BUSY");
      expect(await pipeline.ledger.isPending()).to.equal(false);
    });
  });
});
