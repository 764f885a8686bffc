/** What a run's report says: its steps, where its records went, the quality rules, and the tables' figures. */
import path from "node:path";
import { z } from "zod";
import type { Contract } from "../contracts/contract.ts";
import { readMetrics, totalsOf } from "../functions/shared/metrics.ts";
import type { Ended } from "./execution.ts";
import { figuresOf } from "./figures.ts";
import type { DatasetBalance, QualityResult, ReportData, RunInfo, Step } from "./report/types.ts";
import type { Services } from "./services.ts";
import { buckets, type Workspace } from "./workspace.ts";

const summaryFile = z.looseObject({
  rules: z
    .array(
      z.object({
        dataset: z.string(),
        rule: z.string(),
        passed: z.boolean(),
        severity: z.string(),
        metrics: z.record(z.string(), z.union([z.number(), z.string()])),
      }),
    )
    .default([]),
});

async function qualityOf({ store }: Services, batchId: string): Promise<QualityResult[]> {
  const key = `runs/${batchId}/quality.json`;
  if (!(await store.head(buckets.staging, key))) return [];
  const { rules } = summaryFile.parse(JSON.parse(await store.getText(buckets.staging, key)));
  return rules.map(({ dataset, rule, passed, severity, metrics }) => {
    const failedRows = Number(metrics.missing_foreign_keys ?? metrics.duplicate_row_groups ?? 0);
    const checked = Number(metrics.total_rows ?? 0);
    const { newest, age_hours: age, promised_hours: promised } = metrics;
    return {
      dataset,
      rule,
      severity: severity === "critical" ? "error" : "warning",
      passed,
      failedRows,
      share: checked > 0 ? failedRows / checked : 0,
      threshold: 0,
      ...(newest !== undefined && {
        found: `the newest record is ${age} h old, promised are at most ${promised} h`,
      }),
    };
  });
}

const traceFile = z.tuple([
  z.object({
    subsegments: z.array(
      z.object({
        name: z.string(),
        start_time: z.number(),
        end_time: z.number().optional(),
        fault: z.boolean().optional(),
        annotations: z.object({ rows: z.number().optional() }),
      }),
    ),
  }),
]);

const instant = (epochSeconds: number): string => new Date(epochSeconds * 1000).toISOString();

/** A step with the subsegments of the trace that its job sent, the same that X-Ray gets on AWS. */
export async function withSegments(
  { store }: Pick<Services, "store">,
  batchId: string,
  step: Step,
): Promise<Step> {
  const key = `runs/${batchId}/fraud_score-trace.json`;
  if (!(await store.head(buckets.staging, key))) return step;
  const [segment] = traceFile.parse(JSON.parse(await store.getText(buckets.staging, key)));
  const segments = segment.subsegments.map(
    ({ name, start_time, end_time, fault, annotations }): Step => ({
      name: name.replaceAll("_", " "),
      started: instant(start_time),
      ...(end_time !== undefined && { ended: instant(end_time) }),
      status: fault ? "FAILED" : "SUCCEEDED",
      attempts: 1,
      ...(annotations.rows !== undefined && { rowsOut: annotations.rows }),
    }),
  );
  return { ...step, segments };
}

/**
 * @param about how the run was asked for, and the sample's seed when it dealt with the sample
 * @param beside datasets that came in beside the workflow
 */
export async function reportOf(
  workspace: Workspace,
  services: Services,
  contracts: readonly Contract[],
  about: { readonly mode: string; readonly seed?: number },
  { result, batchId, tracker, started }: Ended,
  beside: readonly DatasetBalance[] = [],
): Promise<ReportData> {
  const failed = result.status !== "SUCCEEDED";
  const broken = tracker.steps.some(({ state, status }) => state === "Rollback" && status === "FAILED");
  const tables = broken
    ? "The tables could not be brought back to what they were; the next npm start does that first."
    : "The tables are as they were before the run.";
  const space = failed && /no disk space|no space left|ENOSPC/i.test(result.cause);
  const remedy = space
    ? `${tables} Free some space and run npm start again, or name a folder on another disk: npm start -- --out <folder>.`
    : `${tables} Correct what the message names and run npm start again; ` +
      `the quarantine is in ${path.join(workspace.lake, buckets.quarantine)}, Spark's log in ${workspace.log}.`;
  const run: RunInfo = {
    batchId: batchId ?? "-",
    status: failed ? "FAILED" : batchId ? "SUCCEEDED" : "NOTHING_NEW",
    ...(failed && {
      error: { ...(tracker.failure && { step: tracker.failure.step }), cause: result.cause, remedy },
    }),
    started,
    ended: new Date().toISOString(),
    ...about,
  };
  const metrics = batchId ? await readMetrics(services.store, buckets.staging, batchId) : [];
  const datasets = [...[...totalsOf(metrics)].map(([name, totals]) => ({ name, ...totals })), ...beside];
  return {
    version: 1,
    run,
    steps: await Promise.all(
      tracker.steps.map(async ({ state, ...step }) =>
        state === "ScoreFraud" && batchId ? withSegments(services, batchId, step) : step,
      ),
    ),
    datasets,
    quality: batchId ? await qualityOf(services, batchId) : [],
    ...(await figuresOf(workspace, services, contracts).catch((error: unknown) => {
      // What stopped the run may stop its figures too; why it failed is to be said all the same.
      if (failed) return { storage: [], tables: [], summaries: [] };
      throw error;
    })),
  };
}
