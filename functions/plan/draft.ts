import { InvalidInputError } from "../shared/context.ts";
import { loadSourceContracts, type SourceContract } from "../shared/contracts.ts";
import {
  batchIdOf,
  type Execution,
  type LandingFolder,
  type Plan,
  planKeyOf,
  readPlan,
  replayKeyOf,
  type StepName,
} from "../shared/plan.ts";
import type { PlanDeps } from "./deps.ts";
import { planIncremental } from "./incremental.ts";
import type { RunRequest } from "./input.ts";

/** A plan that is not written yet. */
export interface Draft {
  readonly plan: Plan;
  /** In the landing bucket. */
  readonly planKey: string;
  /** The step to start with. */
  readonly from: StepName;
  /** Folders that the batch itself writes. */
  readonly landing: readonly LandingFolder[];
}

/** The plan for a request, or in words why there is nothing to do. */
export async function draftFor(
  deps: PlanDeps,
  request: RunRequest,
  execution: Execution,
): Promise<Draft | string> {
  if (request.kind === "replay") return draftReplay(deps, request, execution);
  const contracts = await loadSourceContracts(deps.store, deps.buckets.artifacts);
  const frame = {
    batch_id: batchIdOf(execution),
    created_at: new Date(execution.startTime).toISOString(),
    loaded_batch: (await deps.ledger.loadedBatch()) ?? null,
  };
  return request.kind === "backfill"
    ? draftBackfill(deps, contracts, frame, request.range)
    : draftIncremental(deps, contracts, frame);
}

type Frame = Pick<Plan, "batch_id" | "created_at" | "loaded_batch">;

async function draftIncremental(
  deps: PlanDeps,
  contracts: readonly SourceContract[],
  frame: Frame,
): Promise<Draft | string> {
  await deps.ledger.clearPending();
  const found = await planIncremental(deps, contracts, frame.batch_id);
  const streamed = Object.keys(found.watermarks).length > 0;
  // A run that failed in its load may have left something in the warehouse, which the next export puts right.
  const last = (await deps.ledger.batches()).at(-1);
  const unsettled = last?.state === "FAILED" && last.unsettled === true;
  if (found.extracts.length === 0 && !streamed && !unsettled) {
    return `no new drop, no changed row, no export due and no new events in ${contracts.length} source datasets`;
  }
  const datasets = new Set(found.extracts.map(({ dataset }) => dataset));
  const landing = [...datasets].map((dataset) => ({
    dataset,
    path: `s3://${deps.buckets.landing}/batches/${dataset}/batch=${frame.batch_id}/`,
  }));
  const plan: Plan = {
    ...frame,
    ...found,
    mode: "incremental",
    range: null,
    recipes: recipesOf(contracts, datasets),
    landing,
    history: await committedLanding(deps, replaceable(contracts, datasets)),
  };
  // What a stream wrote is in its tables already.
  const from = found.extracts.length > 0 ? "extract" : "export";
  return { plan, planKey: planKeyOf(plan.batch_id), from, landing };
}

/** Reads what every committed batch landed: a row of the range may have come late, or in a correction. */
async function draftBackfill(
  deps: PlanDeps,
  contracts: readonly SourceContract[],
  frame: Frame,
  range: Plan["range"],
): Promise<Draft | string> {
  const landing = await stillThere(deps, await committedLanding(deps));
  if (landing.length === 0)
    return "nothing that a committed batch landed is there; run the pipeline before a backfill";
  const plan: Plan = {
    ...frame,
    mode: "backfill",
    range,
    extracts: [],
    recipes: recipesOf(contracts, new Set(landing.map(({ dataset }) => dataset))),
    landing,
    history: [],
    claims: [],
    watermarks: {},
  };
  return { plan, planKey: planKeyOf(plan.batch_id), from: "recipes", landing: [] };
}

async function draftReplay(
  deps: PlanDeps,
  { batchId, from }: Extract<RunRequest, { kind: "replay" }>,
  execution: Execution,
): Promise<Draft> {
  const planKey = replayKeyOf(batchId, execution);
  if (!(await deps.ledger.batch(batchId))) {
    const known = (await deps.ledger.batches()).slice(-5).map((batch) => batch.batch_id);
    const latest = known.length > 0 ? `the latest are ${known.join(", ")}` : "there is none yet";
    throw new InvalidInputError(`there is no batch ${batchId} to replay; ${latest}`);
  }
  const earlier = await readPlan(deps.store, deps.buckets.landing, planKeyOf(batchId));
  const contracts = await loadSourceContracts(deps.store, deps.buckets.artifacts);
  const own = new Set(earlier.landing.map(({ path }) => path));
  const tables = tablesOf(contracts, new Set(earlier.landing.map(({ dataset }) => dataset)));
  const feeding = contracts.filter((one) => tables.has(tableOf(one))).map(({ name }) => name);
  const plan: Plan = {
    ...earlier,
    mode: "replay",
    history: (await committedLanding(deps, new Set(feeding))).filter(({ path }) => !own.has(path)),
    extracts:
      from === "extract" ? earlier.extracts.map((one) => exportedAnew(one, planKey)) : earlier.extracts,
    loaded_batch: (await deps.ledger.loadedBatch()) ?? null,
  };
  // What a recipe left is there for the last run only: another batch's has to be made again before it can be cleaned.
  return { plan, planKey, from: from === "clean" && plan.recipes.length > 0 ? "recipes" : from, landing: [] };
}

/** Exports of a replay go to a place of their own: in a place with two, a reader could not tell them apart. */
function exportedAnew(extract: Plan["extracts"][number], planKey: string): Plan["extracts"][number] {
  if (extract.kind !== "dynamodb") return extract;
  const run = planKey.replace(/^plans\//, "").replace(/\.json$/, "");
  const exports = extract.exports.map((one) => ({
    ...one,
    prefix: `dynamodb-exports/batch=${run}/${one.id}`,
  }));
  return { ...extract, exports };
}

/** What committed batches landed, oldest first; all of it, or of some datasets. */
async function committedLanding(deps: PlanDeps, datasets?: ReadonlySet<string>): Promise<LandingFolder[]> {
  if (datasets?.size === 0) return [];
  return (await deps.ledger.batches())
    .filter((batch) => batch.committed_at !== undefined)
    .flatMap((batch) => batch.landing)
    .filter(({ dataset }) => datasets?.has(dataset) ?? true);
}

/** Without the folders that the bucket's lifecycle has removed: their records can no longer be processed again. */
async function stillThere(deps: PlanDeps, folders: readonly LandingFolder[]): Promise<LandingFolder[]> {
  const { landing } = deps.buckets;
  const objects = await deps.store.list(landing, "batches/");
  const held = new Set(objects.map(({ key }) => `s3://${landing}/${key.slice(0, key.lastIndexOf("/") + 1)}`));
  return folders.filter(({ path }) => held.has(path));
}

const tableOf = ({ name, feeds }: SourceContract): string => feeds ?? name;

function tablesOf(contracts: readonly SourceContract[], datasets: ReadonlySet<string>): Set<string> {
  return new Set(contracts.filter(({ name }) => datasets.has(name)).map(tableOf));
}

/**
 * The datasets that may hold another record of a key which a batch of `datasets` withdraws: those of tables that are fed
 * by drops, or by more than one source. In a table with one row per place at one source nothing takes a row's place.
 */
function replaceable(contracts: readonly SourceContract[], datasets: ReadonlySet<string>): Set<string> {
  const names = [...tablesOf(contracts, datasets)].flatMap((table) => {
    const feeding = contracts.filter((one) => tableOf(one) === table);
    const several = feeding.length > 1 || feeding.some(({ source }) => source.kind === "csv");
    return several ? feeding.map(({ name }) => name) : [];
  });
  return new Set(names);
}

/** The datasets among `datasets` that a recipe prepares. */
function recipesOf(contracts: readonly SourceContract[], datasets: ReadonlySet<string>): string[] {
  return contracts
    .filter(({ name, recipe }) => recipe !== undefined && datasets.has(name))
    .map(({ name }) => name);
}
