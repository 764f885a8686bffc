/** The whole way of a fraud model on a laptop: a run by rules, training on made-up reports, the next run by the model. */
import { cp, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { expect } from "chai";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { command, type Exit, secondStep, temporaryFolder } from "./testing/harness.ts";
import { told, train } from "./train.ts";
import { buckets, Workspace } from "./workspace.ts";

describe("fraud model on a laptop", function () {
  this.timeout(900_000);
  let folder: string;
  let remove: () => Promise<void>;

  before(async () => {
    ({ folder, remove } = await temporaryFolder());
  });
  after(() => remove?.());

  const run = (...args: string[]): Exit => command(...args, "--out", path.join(folder, "out"));
  function succeeded(...args: string[]): string {
    const { code, stdout, stderr } = run(...args);
    expect(code, stderr).to.equal(0);
    return stdout;
  }

  /** Where in which trace the segments of the scoring jobs hang. */
  async function traces(): Promise<unknown[]> {
    const runs = path.join(folder, "out/lake", buckets.staging, "runs");
    const files = (await readdir(runs, { recursive: true })).filter((name) =>
      name.endsWith("fraud_score-trace.json"),
    );
    return Promise.all(
      files.map(async (name) => {
        const text = await readFile(path.join(runs, name), "utf8");
        const [{ trace_id, parent_id }] = JSON.parse(text) as [Record<string, unknown>];
        return { trace_id, parent_id };
      }),
    );
  }

  it("says of a champion that reads other features that it was not compared", () => {
    const about = (champion: object) =>
      JSON.stringify({
        version: "new",
        workers: 1,
        training: { from: "2026-01-01", to: "2026-01-24", genuine: 440, frauds: 40 },
        validation: { from: "2026-02-01", to: "2026-02-07" },
        metrics: { average_precision: 0.5, log_loss: 0.1 },
        review_threshold: 0.2,
        champion: { average_precision: null, other_features: null, replaced: true, ...champion },
      });
    expect(told(about({}))).to.match(/\nIt scores from the next run on\.\n$/);
    expect(told(about({ average_precision: 0.4 }))).to.match(/run on \(the one before had 0\.400\)\.\n$/);
    expect(told(about({ other_features: "old" }))).to.match(
      /run on \(the one before, old, reads other features and was not compared\)\.\n$/,
    );
  });

  // What the job makes of it (fewer for few rows or a single core) is what jobs/tests/test_fraud_model.py is about.
  it("asks for two workers, whatever cores the machine has, since a model depends on their number", async () => {
    const out = path.join(folder, "asked");
    await new DirectoryStore(new Workspace(out).lake).putText(buckets.artifacts, "contracts.json", "{}");
    const asked: unknown[] = [];
    const start = () => ({
      request: () => Promise.reject(new Error("nothing else is asked for")),
      runJob: async (job: string, argv: readonly string[]) => {
        asked.push(job, ...["--workers", "--seed"].map((name) => argv[argv.indexOf(name) + 1]));
        throw new Error("no Spark in this test");
      },
      stop: async () => {},
    });
    const failure = await train({ out, seed: 3, sampleLabels: false }, start).catch(String);
    expect(failure).to.equal("Error: no Spark in this test");
    expect(asked).to.deep.equal(["fraud_train", "2", "3"]);
  });

  it("says what is missing, trains, and scores what comes next by the model @slow", async () => {
    const nothing = run("train");
    expect(nothing.code).to.equal(1);
    expect(nothing.stderr).to.match(/holds no transactions yet; run npm start first\n$/);
    const header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    process.env._X_AMZN_TRACE_ID = header;
    try {
      succeeded("start", "--scale", "0.1");
    } finally {
      delete process.env._X_AMZN_TRACE_ID;
    }
    expect(
      await traces(),
      "the planning function's trace, through the workflow, in the Spark job's",
    ).to.deep.equal([{ trace_id: "1-5759e988-bd862e3fe1be46a994272793", parent_id: "53995c3f42cd8ad8" }]);
    const unlabelled = run("train");
    expect(unlabelled.code).to.equal(1);
    expect(unlabelled.stderr).to.include("no fraud reports to learn from: put CSV files");
    expect(unlabelled.stderr).not.to.match(/^\s+at /m);
    const trained = succeeded("train", "--sample-labels", "--seed", "3");
    expect(trained).to.match(
      /^\d+ made-up reports of frauds: s3:.*sample\.csv\nModel .*\nOn .*\nIt scores from/,
    );
    const again = succeeded("train", "--seed", "3");
    expect(again, "the same model is no better").to.match(
      /It does not replace the model in use, which has 0\.\d+/,
    );
    const sample = path.join(folder, "out/sample");
    secondStep(sample, new Date());
    await cp(
      path.join(sample, "step-2/drops/transactions"),
      path.join(folder, "out/lake", buckets.landing, "drops/transactions"),
      { recursive: true, preserveTimestamps: true },
    );
    succeeded("start");
    const methods = succeeded("query", "SELECT DISTINCT method FROM mart.fraud_scores ORDER BY method");
    expect(methods).to.include("model").and.to.include("rules");
  });
});
