/** `npm run fraud:train`: trains a fraud model on the lake of a laptop, by the job that EMR Serverless runs. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { SparkDriver, type SparkDriverOptions } from "./spark.ts";
import { defaultArguments } from "./tasks.ts";
import { buckets, messageOf, UserError, Workspace } from "./workspace.ts";

export interface TrainOptions {
  readonly out: string;
  readonly seed: number;
  /** A CSV file of fraud reports to bring in first: transaction_id,fraud,reported_at. */
  readonly labels?: string;
  /** Brings in made-up reports of the lake's transactions, to try training without frauds of one's own. */
  readonly sampleLabels: boolean;
}

const labelPrefix = "fraud-labels/";
const transactions = "staging.lake.transactions";
/**
 * Two suffice to train as a cluster does; a model depends on their number, so it is not that of the machine's cores. Where
 * Spark has a single core the job trains with one, and says so in the model's description.
 */
const workers = 2;

/** What the job leaves in the run's folder: the description of the model. */
const description = z.object({
  version: z.string(),
  workers: z.number(),
  training: z.object({ from: z.string(), to: z.string(), genuine: z.number(), frauds: z.number() }),
  validation: z.object({ from: z.string(), to: z.string() }),
  metrics: z.object({ average_precision: z.number(), log_loss: z.number() }),
  review_threshold: z.number(),
  champion: z.object({
    average_precision: z.number().nullable(),
    other_features: z.string().nullable(),
    replaced: z.boolean(),
  }),
});

/** What a training came to, in words; `text` is the JSON that the job left. */
export function told(text: string): string {
  const about = description.parse(JSON.parse(text));
  const { training, validation, metrics, champion } = about;
  const before = champion.average_precision?.toFixed(3);
  const replaced = champion.other_features
    ? ` (the one before, ${champion.other_features}, reads other features and was not compared)`
    : before && ` (the one before had ${before})`;
  const verdict = champion.replaced
    ? `It scores from the next run on${replaced ?? ""}.`
    : `It does not replace the model in use, which has ${before}: at least 0.005 more is needed.`;
  return (
    `Model ${about.version}, trained on ${training.from} to ${training.to}: ` +
    `${training.genuine} genuine transactions, ${training.frauds} frauds, by ${about.workers} worker(s).\n` +
    `On ${validation.from} to ${validation.to}: average precision ${metrics.average_precision.toFixed(3)}, ` +
    `log loss ${metrics.log_loss.toFixed(4)}; reviewed from a probability of ${about.review_threshold.toFixed(3)}.\n` +
    `${verdict}\n`
  );
}

/**
 * Trains, and says what came of it.
 *
 * @param start starts what runs the job; a test without Spark has its own
 * @returns the exit code
 * @throws UserError when the folder is in use, holds no lake, or the reports cannot be read
 * @throws DriverError when the job says what is missing to train
 */
export async function train(
  { out, seed, labels, sampleLabels }: TrainOptions,
  start: (options: SparkDriverOptions) => Pick<SparkDriver, "request" | "runJob" | "stop"> = (options) =>
    new SparkDriver(options),
): Promise<number> {
  const workspace = new Workspace(out);
  const { lake, sources, scratch, log } = workspace;
  const store = new DirectoryStore(lake);
  if (!(await store.head(buckets.artifacts, "contracts.json"))) {
    throw new UserError(`${lake} holds no transactions yet; run npm start first`);
  }
  const unlock = await workspace.lock();
  const spark = start({ lake, sources, scratch, log });
  try {
    if (labels !== undefined) {
      const text = await readFile(labels, "utf8").catch((error: unknown) => {
        throw new UserError(`--labels ${labels} cannot be read: ${messageOf(error)}`);
      });
      await store.putText(buckets.landing, `${labelPrefix}${path.basename(labels)}`, text);
    }
    if (sampleLabels) {
      const prefix = `s3://${buckets.landing}/${labelPrefix}`;
      const count = await spark.request<number>("sample_labels", { table: transactions, prefix });
      process.stdout.write(`${count} made-up reports of frauds: ${prefix}sample.csv\n`);
    }
    const run = `train-${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}`;
    const asked = { "--batch-id": run, "--seed": String(seed), "--workers": String(workers) };
    const given = { ...defaultArguments(sources), ...asked };
    await spark.runJob("fraud_train", Object.entries(given).flat());
    process.stdout.write(told(await store.getText(buckets.staging, `runs/${run}/fraud_train.json`)));
    return 0;
  } finally {
    await spark.stop();
    await unlock();
  }
}
