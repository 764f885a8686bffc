import { z } from "zod";
import { InvalidInputError, parseEvent } from "../shared/context.ts";
import { batchIdPattern, steps } from "../shared/plan.ts";

/** What a run is asked for. */
export type RunRequest =
  /** Whatever is new; `trigger` says who asked. */
  | { readonly kind: "incremental"; readonly trigger: string }
  /** Everything landed so far, limited to event times of these days, both included. */
  | { readonly kind: "backfill"; readonly range: { readonly from: string; readonly to: string } }
  /** One earlier batch again, from a step on. */
  | { readonly kind: "replay"; readonly batchId: string; readonly from: (typeof steps)[number] };

const objectCreated = z.object({
  source: z.literal("aws.s3"),
  "detail-type": z.literal("Object Created", { error: 'only "Object Created" events start a run' }),
  detail: z.object({
    bucket: z.object({ name: z.string().min(1) }),
    object: z.object({ key: z.string().min(1) }),
  }),
});

const scheduled = z.object({ source: z.enum(["aws.events", "aws.scheduler"]), "detail-type": z.string() });

const backfill = z.strictObject({
  backfill: z
    .strictObject({ from: z.iso.date(), to: z.iso.date() })
    .refine(({ from, to }) => from <= to, { error: "from must not be after to" }),
});

const replay = z.strictObject({
  replay: z.strictObject({
    batch_id: z.string().regex(batchIdPattern, { error: "must look like 20260102T030405Z-1a2b3c4d" }),
    from: z.enum(steps, { error: `must be one of the steps ${steps.join(", ")}` }),
  }),
});

const forms =
  '{} or a schedule event, an S3 "Object Created" event of EventBridge, ' +
  '{"backfill":{"from":"YYYY-MM-DD","to":"YYYY-MM-DD"}}, {"replay":{"batch_id":"…","from":"<step>"}}';

/** Reads the workflow's input. @throws InvalidInputError that names the field and the forms accepted. */
export function parseInput(input: unknown): RunRequest {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new InvalidInputError(`the workflow's input is ${JSON.stringify(input)}; accepted are ${forms}`);
  }
  if ("backfill" in input) {
    return { kind: "backfill", range: parseEvent(backfill, input, "the workflow's input").backfill };
  }
  if ("replay" in input) {
    const { batch_id, from } = parseEvent(replay, input, "the workflow's input").replay;
    return { kind: "replay", batchId: batch_id, from };
  }
  if ("source" in input && input.source === "aws.s3") {
    const { bucket, object } = parseEvent(objectCreated, input, "the S3 event").detail;
    return { kind: "incremental", trigger: `s3://${bucket.name}/${object.key}` };
  }
  if ("source" in input) {
    return { kind: "incremental", trigger: parseEvent(scheduled, input, "the event")["detail-type"] };
  }
  const unknown = Object.keys(input);
  if (unknown.length > 0) {
    throw new InvalidInputError(
      `the workflow's input has unknown fields ${unknown.join(", ")}; accepted are ${forms}`,
    );
  }
  return { kind: "incremental", trigger: "manual" };
}
