import { expect } from "chai";

import { steps } from "../functions/shared/plan.ts";
import { allStateNames } from "./testing/coverage.ts";
import { fail, failing, planned, runWorkflow, tableExport } from "./testing/stubs.ts";

const load = ["redshiftdata:batchExecuteStatement", "redshiftdata:describeStatement"];

/** The calls of a good run from each step on; those that run side by side are sorted by name. */
const callsOf: Record<string, string[]> = {
  extract: [
    ...["dynamodb:exportTableToPointInTime", "dynamodb:describeExport"],
    ...["securecart-csv-to-parquet", "securecart-extract-dynamodb", "securecart-extract-mysql"],
  ],
  recipes: ["securecart-campaigns"],
  clean: ["securecart-clean"],
  quality: ["securecart-quality", "verdict"],
  publish: ["securecart-publish"],
  curate: ["securecart-curate", "score-fraud"],
  export: ["securecart-export"],
  load: ["render-load", ...load, ...load],
};

const sorted = (calls: string[]) => [...calls].sort();

describe("workflow on its paths", () => {
  it("runs every step once, in order, and ends LOADED", async () => {
    const { result, called } = await runWorkflow();
    expect(result).to.deep.equal({
      status: "SUCCEEDED",
      output: {
        status: "LOADED",
        batchId: planned.batchId,
        commit: { status: "COMMITTED", pending: false, summaryKey: "runs/summary.json" },
      },
    });
    expect(called.slice(0, 3)).to.deep.equal([
      "plan",
      "dynamodb:exportTableToPointInTime",
      "dynamodb:describeExport",
    ]);
    expect(sorted(called.slice(3, 6))).to.deep.equal(callsOf.extract?.slice(2));
    expect(called.slice(6, 15)).to.deep.equal([
      ...["securecart-campaigns", "securecart-clean", "securecart-quality", "verdict"],
      ...["securecart-publish", "securecart-curate", "score-fraud", "securecart-export", "render-load"],
    ]);
    expect(sorted(called.slice(15))).to.deep.equal(sorted([...load, ...load, "commit"]));
    expect(called.at(-1)).to.equal("commit");
  });

  it("passes the input and the execution to the planning step", async () => {
    const input = { replay: { batch_id: planned.batchId, from: "clean" } };
    const { calls } = await runWorkflow({}, { input });
    expect(calls[0]?.args).to.deep.equal({
      input,
      execution: {
        id: "arn:aws:states:local:000000000000:execution:local:test",
        startTime: "2026-01-01T00:00:00.000Z",
      },
      rolledBack: "none",
    });
  });

  it("tells every job where the plan is and which batch it is", async () => {
    const { calls } = await runWorkflow();
    const job = calls.find(({ name }) => name === "securecart-clean");
    expect(job?.args).to.deep.equal({
      JobName: "securecart-clean",
      Arguments: { "--plan": `s3://securecart-landing/${planned.planKey}`, "--batch-id": planned.batchId },
    });
  });

  it("tells the Spark job its trace and when it was asked for, beside its plan", async () => {
    const traceHeader = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    for (const [plan, header] of [
      [planned, ""],
      [{ ...planned, traceHeader }, traceHeader],
    ] as const) {
      const { calls } = await runWorkflow({ plan });
      const args = calls.find(({ name }) => name === "score-fraud")?.args;
      expect(args).to.include({ ApplicationId: "00f000000000001", Name: `ScoreFraud-${planned.batchId}` });
      expect(args?.ClientToken).to.match(/^[0-9a-f]{64}$/);
      expect(args?.JobDriver).to.deep.equal({
        SparkSubmit: {
          EntryPoint: "s3://securecart-artifacts/jobs/fraud_score.py",
          EntryPointArguments: [
            ...["--landing", "securecart-landing"],
            ...["--plan", `s3://securecart-landing/${planned.planKey}`, "--batch-id", planned.batchId],
            ...["--trace-header", header, "--submitted-at", "2026-01-01T00:00:00.000Z"],
          ],
          SparkSubmitParameters: "--conf spark.executor.instances=2",
        },
      });
    }
  });

  it("takes the tables back when scoring fails, since they were published", async () => {
    const { result, called } = await runWorkflow({ "score-fraud": failing("JobError", "no such model") });
    expect(result).to.deep.include({ status: "FAILED", error: "JobError" });
    expect(called.slice(-2)).to.deep.equal(["securecart-rollback", "abort"]);
  });

  for (const status of ["NOTHING_NEW", "BUSY"]) {
    it(`ends with the planning step's answer when it is ${status}`, async () => {
      const answer = { status, batchId: "b", reason: "said so" };
      const { result, called } = await runWorkflow({ plan: answer });
      expect(result).to.deep.equal({ status: "SUCCEEDED", output: answer });
      expect(called).to.deep.equal(["plan"]);
    });
  }

  it("fails on a status it does not know", async () => {
    const { result, called } = await runWorkflow({ plan: { status: "MAYBE" } });
    expect(result).to.deep.include({
      status: "FAILED",
      error: "UnknownPlanStatus",
      cause: "plan: status MAYBE",
    });
    expect(called).to.deep.equal(["plan", "abort"]);
  });

  for (const [index, from] of steps.entries()) {
    it(`replays from ${from}: that step and the later ones`, async () => {
      const { result, called } = await runWorkflow({ plan: { ...planned, mode: "replay", from } });
      expect(result.status).to.equal("SUCCEEDED");
      const expected = steps.slice(index).flatMap((step) => callsOf[step] ?? []);
      if (from === "recipes") expected.push("securecart-stage-recipes");
      expect(sorted(called)).to.deep.equal(sorted(["plan", ...expected, "commit"]));
    });
  }

  it("fails on a step it does not know, or none", async () => {
    const { result } = await runWorkflow({ plan: { ...planned, from: "polish" } });
    expect(result).to.include({ status: "FAILED", error: "UnknownStep", cause: "plan: step polish" });
    const none = await runWorkflow({ plan: { status: "PLANNED", batchId: "b", planKey: "k" } });
    expect(none.result).to.include({ status: "FAILED", error: "UnknownStep", cause: "plan: step " });
    expect(none.called).to.deep.equal(["plan", "abort"]);
  });

  it("runs only the extracts that the plan has", async () => {
    const plan = { ...planned, hasMysql: false, hasDynamodb: false, exports: [], recipes: [] };
    const { called } = await runWorkflow({ plan });
    expect(called.slice(0, 3)).to.deep.equal(["plan", "securecart-csv-to-parquet", "securecart-clean"]);
  });

  it("asks for full and incremental exports as DynamoDB wants them, and waits for them", async () => {
    const exports = [
      tableExport("orders-full", "FULL_EXPORT"),
      tableExport("orders-inc", "INCREMENTAL_EXPORT"),
    ];
    const status = (calls: number) => ({
      ExportDescription: { ExportStatus: calls < 6 ? "IN_PROGRESS" : "COMPLETED" },
    });
    const { calls, result, clock } = await runWorkflow({
      plan: { ...planned, exports },
      "dynamodb:describeExport": status,
    });
    expect(result.status).to.equal("SUCCEEDED");
    const [full, incremental] = calls
      .filter(({ name }) => name === "dynamodb:exportTableToPointInTime")
      .map(({ args }) => args);
    expect(full).to.include({
      ExportType: "FULL_EXPORT",
      ExportTime: "2026-01-02T00:00:00.000Z",
      S3Bucket: "securecart-landing",
    });
    expect(full)
      .to.include({ S3Prefix: "dynamodb-exports/orders-full", S3SseAlgorithm: "KMS" })
      .and.not.have.property("IncrementalExportSpecification");
    expect(incremental).to.deep.include({
      ExportType: "INCREMENTAL_EXPORT",
      IncrementalExportSpecification: {
        ExportFromTime: "2026-01-01T00:00:00.000Z",
        ExportToTime: "2026-01-02T00:00:00.000Z",
        ExportViewType: "NEW_IMAGE",
      },
    });
    expect(full?.ClientToken)
      .to.match(/^[0-9a-f]{64}$/)
      .and.not.equal(incremental?.ClientToken);
    expect(clock.now() - Date.parse("2026-01-01T00:00:00Z")).to.equal(90_000);
  });

  it("fails when an export fails, before anything is extracted", async () => {
    const failed = {
      ExportDescription: { ExportStatus: "FAILED", FailureCode: "S3NoSuchBucket", FailureMessage: "gone" },
    };
    const { result, called } = await runWorkflow({ "dynamodb:describeExport": failed });
    expect(result).to.include({ status: "FAILED", error: "DynamoDb.ExportFailed" });
    expect(result).to.have.property("cause").that.includes("S3NoSuchBucket: gone");
    expect(called).to.deep.equal([
      "plan",
      "dynamodb:exportTableToPointInTime",
      "dynamodb:describeExport",
      "abort",
    ]);
  });

  it("gives up an export that does not end", async () => {
    const { result } = await runWorkflow({
      "dynamodb:describeExport": { ExportDescription: { ExportStatus: "IN_PROGRESS" } },
    });
    expect(result).to.include({ status: "FAILED", error: "DynamoDb.ExportTooSlow" });
  });

  it("publishes and loads nothing when the quality gate fails, and says why", async () => {
    const verdict = { verdict: "FAIL", reasons: ["orders: 9 % failed", "customers: no key"] };
    const { result, called, calls } = await runWorkflow({ verdict });
    const cause = "quality: orders: 9 % failed; customers: no key";
    expect(result).to.deep.equal({ status: "FAILED", error: "QualityGateFailed", cause });
    expect(called.slice(-2)).to.deep.equal(["verdict", "abort"]);
    expect(calls.at(-1)?.args).to.deep.include({
      batchId: planned.batchId,
      error: "QualityGateFailed",
      cause,
    });
  });

  it("fails on a verdict it does not know", async () => {
    const { result, called } = await runWorkflow({ verdict: { verdict: "PERHAPS" } });
    expect(result).to.include({ status: "FAILED", error: "UnknownVerdict" });
    expect(called).to.include("abort").and.not.include("securecart-publish");
  });

  it("calls abort without a batch when planning fails", async () => {
    const { result, called, calls } = await runWorkflow({ plan: failing("LedgerError", "no ledger") });
    expect(result).to.deep.equal({ status: "FAILED", error: "LedgerError", cause: "plan: no ledger" });
    expect(called).to.deep.equal(["plan", "plan", "plan", "abort"]);
    expect(calls.at(-1)?.args).to.not.have.property("batchId");
  });

  it("does not repeat what a refused input cannot change", async () => {
    const { called } = await runWorkflow({ plan: failing("InvalidInputError", "no such batch") });
    expect(called).to.deep.equal(["plan", "abort"]);
  });

  it("repeats a failed job once and goes on when it then succeeds", async () => {
    const clean = (calls: number) => (calls === 0 ? fail("States.TaskFailed", "it broke") : {});
    const { result, called } = await runWorkflow({ "securecart-clean": clean });
    expect(result.status).to.equal("SUCCEEDED");
    expect(called.filter((name) => name === "securecart-clean")).to.have.length(2);
  });

  const beforePublish = [
    "securecart-extract-mysql",
    "securecart-campaigns",
    "securecart-clean",
    "securecart-quality",
    "verdict",
  ];
  for (const name of beforePublish) {
    it(`leaves the tables alone when ${name} fails, and ends FAILED`, async () => {
      const { result, called } = await runWorkflow({ [name]: failing("JobError", "bad input") });
      expect(result).to.include({ status: "FAILED", error: "JobError" });
      expect(result).to.have.property("cause").that.includes("bad input");
      expect(called.at(-1)).to.equal("abort");
      expect(called).to.not.include.members(["securecart-rollback"]).and.not.include("securecart-publish");
    });
  }

  const afterPublish = ["publish", "curate", "export"].map((job) => `securecart-${job}`);
  for (const name of [...afterPublish, "render-load", ...load]) {
    it(`rolls back, then aborts, when ${name} fails, and ends FAILED`, async () => {
      const { result, called } = await runWorkflow({ [name]: failing("JobError", "it broke") });
      expect(result).to.include({ status: "FAILED", error: "JobError" });
      expect(called.slice(-2)).to.deep.equal(["securecart-rollback", "abort"]);
    });
  }

  it("keeps what the warehouse has loaded when the commit fails: the next run makes up for it", async () => {
    const { result, called } = await runWorkflow({ commit: failing("JobError", "it broke") });
    expect(result).to.include({ status: "FAILED", error: "JobError", cause: "commit: it broke" });
    expect(called.slice(-2)).to.deep.equal(["commit", "abort"]);
  });

  it("does not roll back what an earlier execution published", async () => {
    const plan = { ...planned, mode: "replay", from: "curate" };
    const { called } = await runWorkflow({ plan, "securecart-curate": failing("JobError") });
    expect(called).to.deep.equal(["plan", "securecart-curate", "abort"]);
  });

  for (const status of ["FAILED", "ABORTED"]) {
    it(`rolls back and fails when a load ends ${status}`, async () => {
      const statement = { Status: status, ...(status === "FAILED" && { Error: "no such table" }) };
      const { result, called } = await runWorkflow({ "redshiftdata:describeStatement": statement });
      expect(result).to.include({ status: "FAILED", error: `RedshiftData.Statement${status}` });
      expect(result)
        .to.have.property("cause")
        .that.includes(status === "FAILED" ? "no such table" : "without a reason");
      expect(called.slice(-2)).to.deep.equal(["securecart-rollback", "abort"]);
      expect(called).to.not.include("commit");
    });
  }

  it("waits for a load that runs, and gives up one that does not end", async () => {
    const late = await runWorkflow({
      "redshiftdata:describeStatement": (calls) => ({ Status: calls < 4 ? "STARTED" : "FINISHED" }),
    });
    expect(late.result.status).to.equal("SUCCEEDED");
    const never = await runWorkflow({ "redshiftdata:describeStatement": { Status: "STARTED" } });
    expect(never.result).to.include({ status: "FAILED", error: "RedshiftData.StatementTooSlow" });
  });

  it("loads only tables with rows, each in one transaction", async () => {
    const { calls } = await runWorkflow();
    const batches = calls
      .filter(({ name }) => name === "redshiftdata:batchExecuteStatement")
      .map(({ args }) => args);
    expect(batches.map(({ Sqls }) => Sqls)).to.deep.equal([["SELECT 1", "SELECT 2"], ["SELECT 4"]]);
    expect(batches[0]).to.include({ WorkgroupName: "securecart", Database: "securecart", WithEvent: true });
    const empty = await runWorkflow({ "render-load": { loads: [] } });
    expect(empty.result.status).to.equal("SUCCEEDED");
    expect(empty.called).to.not.include("redshiftdata:batchExecuteStatement");
  });

  it("gives each table, retry and redrive a client token of its own, and an equal call an equal one", async () => {
    const tokens = async (redriveCount: number) => {
      let failed = false;
      const submit = (calls: number) => {
        if (!failed) {
          failed = true;
          return fail("RedshiftData.InternalServerException", "try again");
        }
        return { Id: `s${calls}` };
      };
      const { calls } = await runWorkflow({ "redshiftdata:batchExecuteStatement": submit }, { redriveCount });
      return calls.flatMap(({ name, args }) =>
        name === "redshiftdata:batchExecuteStatement" ? [String(args.ClientToken)] : [],
      );
    };
    const [first, again, redriven] = await Promise.all([tokens(0), tokens(0), tokens(1)]);
    expect(first).to.have.length(3);
    for (const token of first) expect(token).to.match(/^[0-9a-f]{64}$/);
    expect(new Set([...first, ...redriven]).size).to.equal(6);
    expect(again).to.deep.equal(first);
  });

  it("still aborts when the rollback fails, and names both", async () => {
    const { result, called } = await runWorkflow({
      "securecart-publish": failing("JobError", "disk full"),
      "securecart-rollback": failing("JobError", "still full"),
    });
    expect(called.at(-1)).to.equal("abort");
    expect(result).to.deep.equal({
      status: "FAILED",
      error: "JobError",
      cause: "publish: disk full Besides, the rollback failed: still full",
    });
  });

  it("tells abort whether the tables are back", async () => {
    const publish = failing("JobError", "disk full");
    for (const [failed, answers] of [
      [true, { "securecart-rollback": failing("JobError", "still full") }],
      [false, {}],
    ] as const) {
      const { calls } = await runWorkflow({ "securecart-publish": publish, ...answers });
      expect(calls.at(-1)).to.have.nested.property("args.rollbackFailed", failed);
      expect(calls.at(-1)).to.have.nested.property("args.published", true);
    }
  });

  it("rolls back what an earlier run left, then plans", async () => {
    const rollback = { status: "ROLL_BACK", batchId: "old", planKey: "plans/old.json" };
    const { result, calls } = await runWorkflow({ plan: (earlier) => (earlier === 0 ? rollback : planned) });
    expect(result.status).to.equal("SUCCEEDED");
    expect(calls.slice(0, 3).map(({ name }) => name)).to.deep.equal(["plan", "securecart-rollback", "plan"]);
    const job = { "--plan": "s3://securecart-landing/plans/old.json", "--batch-id": "old" };
    expect(calls[1]).to.have.nested.property("args.Arguments").that.deep.equals(job);
    expect(calls[0]).to.have.nested.property("args.rolledBack", "none");
    expect(calls[2]).to.have.nested.property("args.rolledBack", "plans/old.json");
    const again = await runWorkflow({ plan: rollback });
    expect(again.result).to.include({ status: "FAILED", error: "UnknownPlanStatus" });
    expect(again.called).to.deep.equal(["plan", "securecart-rollback", "plan", "abort"]);
  });

  it("plans nothing while what an earlier run left cannot be rolled back", async () => {
    const { result, called } = await runWorkflow({
      plan: { status: "ROLL_BACK", batchId: "old", planKey: "plans/old.json" },
      "securecart-rollback": failing("JobError", "still full"),
    });
    expect(called).to.deep.equal(["plan", "securecart-rollback", "abort"]);
    expect(result).to.include({ status: "FAILED", cause: "rollback of an earlier run: still full" });
  });

  it("keeps the tables up when that is due, after the load and before others may write them", async () => {
    const { result, called } = await runWorkflow({ plan: { ...planned, maintain: true } });
    expect(result).to.have.nested.property("output.status", "LOADED");
    expect(result).not.to.have.nested.property("output.notMaintained");
    expect(called.slice(-3)).to.deep.equal([load.at(-1), "securecart-maintain", "commit"]);
  });

  it("leaves the upkeep to a later run when there may be no time for it before this one has to end", async () => {
    const plan = { ...planned, maintain: true };
    const { result, called, clock } = await runWorkflow({ plan }, { minutesAJob: 45 });
    expect(clock.now() - Date.parse("2026-01-01T00:00:00Z")).to.be.within(4 * 3600_000, 5 * 3600_000);
    expect(result).to.have.nested.property("output.status", "LOADED");
    expect(called).not.to.include("securecart-maintain");
  });

  it("commits what is loaded though the upkeep fails, and says so", async () => {
    const { result, called } = await runWorkflow({
      plan: { ...planned, maintain: true },
      "securecart-maintain": failing("Glue.ConcurrentRunsExceededException", "another is on"),
    });
    expect(result).to.deep.include({ status: "SUCCEEDED" });
    expect(result).to.have.nested.property(
      "output.notMaintained",
      "Glue.ConcurrentRunsExceededException: another is on",
    );
    expect(result).to.have.nested.property("output.commit.status", "COMMITTED");
    expect(called.at(-1)).to.equal("commit");
    expect(called).not.to.include("securecart-rollback");
  });

  it("ends FAILED with the first failure when abort fails, too", async () => {
    const { result } = await runWorkflow({
      verdict: failing("JobError", "no metrics"),
      abort: failing("JobError", "no ledger"),
    });
    expect(result).to.deep.equal({
      status: "FAILED",
      error: "JobError",
      cause: "quality: no metrics Besides, the lease was not released: no ledger",
    });
  });

  it("ends FAILED when a dataset has no recipe job", async () => {
    const { result, called } = await runWorkflow({ plan: { ...planned, recipes: ["unknown"] } });
    expect(result).to.include({ status: "FAILED", error: "States.QueryEvaluationError" });
    expect(called.at(-1)).to.equal("abort");
  });

  describe("when an event came during the run", () => {
    const commit = { status: "COMMITTED", pending: true, summaryKey: "runs/summary.json" };

    it("starts the machine once more, with nothing asked for", async () => {
      const { result, calls } = await runWorkflow(
        { commit },
        { input: { backfill: { from: "a", to: "b" } } },
      );
      expect(calls.at(-1)?.name).to.equal("start-next");
      expect(calls.at(-1)?.args.Input).to.deep.equal({});
      expect(calls.at(-1)?.args.StateMachineArn).to.match(/^arn:aws:states:.*:stateMachine:/);
      const output = { status: "LOADED", batchId: planned.batchId, commit: { ...commit, next: "arn:next" } };
      expect(result).to.deep.equal({ status: "SUCCEEDED", output });
    });

    it("stays LOADED when that fails, and tells why", async () => {
      const { result, called } = await runWorkflow({ commit, "start-next": failing("Boom", "no") });
      expect(called.filter((name) => name === "start-next")).to.have.length(3);
      expect(called).not.to.include("abort");
      const notStarted = { Error: "Boom", Cause: "no" };
      const output = { status: "LOADED", batchId: planned.batchId, commit: { ...commit, notStarted } };
      expect(result).to.deep.equal({ status: "SUCCEEDED", output });
    });
  });

  it("enters every state on one path or another", async () => {
    const entered = new Set<string>();
    const plans = [
      planned,
      {
        ...planned,
        exports: [tableExport("i", "INCREMENTAL_EXPORT")],
        hasMysql: false,
        hasDynamodb: false,
        hasCsv: false,
      },
    ];
    const runs = [
      { plan: { status: "NOTHING_NEW" } },
      { plan: { status: "BUSY" } },
      { commit: { status: "COMMITTED", pending: true }, plan: { ...planned, maintain: true } },
      ...plans.map((plan) => ({ plan })),
      { plan: { ...planned, mode: "replay", from: "recipes" } },
      { plan: { status: "ROLL_BACK", batchId: "old", planKey: "plans/old.json" } },
      ...[
        "securecart-extract-mysql",
        "securecart-extract-dynamodb",
        "securecart-csv-to-parquet",
        "securecart-campaigns",
        "securecart-publish",
      ].map((name) => ({ [name]: failing("JobError") })),
      {
        "dynamodb:describeExport": (calls: number) => ({
          ExportDescription: { ExportStatus: calls > 0 ? "FAILED" : "IN_PROGRESS" },
        }),
      },
      { "redshiftdata:describeStatement": (calls: number) => ({ Status: calls > 2 ? "FAILED" : "STARTED" }) },
    ];
    for (const answers of runs) {
      for (const event of (await runWorkflow(answers)).events)
        if (event.type === "StateEntered") entered.add(event.state);
    }
    expect([...allStateNames()].filter((name) => !entered.has(name))).to.deep.equal([]);
  });
});
