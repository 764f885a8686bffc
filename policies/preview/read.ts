/**
 * What `pulumi preview --json` printed: one document at the end, or, with PULUMI_ENABLE_STREAMING_JSON_PREVIEW, the
 * engine's events line by line. Only the events tell what policies said; the document leaves it out.
 */
import { z } from "zod";

const state = z.looseObject({ type: z.string().optional(), protect: z.boolean().optional() });

/** The part of the CLI's document that is read here. */
const documentSchema = z.looseObject({
  steps: z
    .array(
      z.looseObject({
        op: z.string(),
        urn: z.string(),
        oldState: state.nullish(),
        newState: state.nullish(),
        replaceReasons: z.array(z.string()).nullish(),
        diffReasons: z.array(z.string()).nullish(),
        detailedDiff: z.record(z.string(), z.unknown()).nullish(),
      }),
    )
    .nullish(),
  diagnostics: z
    .array(z.looseObject({ severity: z.string().optional(), message: z.string().optional() }))
    .nullish(),
  // Absent where the engine came to no end.
  changeSummary: z.record(z.string(), z.number()).nullish(),
});

/** The part of an event (`EngineEvent` of the SDK's automation module) that is read here. */
const eventSchema = z.looseObject({
  sequence: z.number(),
  diagnosticEvent: z
    .looseObject({ severity: z.string(), message: z.string(), ephemeral: z.boolean().optional() })
    .optional(),
  errorEvent: z.looseObject({ error: z.string() }).optional(),
  policyEvent: z
    .looseObject({
      policyName: z.string(),
      enforcementLevel: z.string(),
      message: z.string(),
      resourceUrn: z.string().optional(),
    })
    .optional(),
  resourcePreEvent: z
    .looseObject({
      metadata: z.looseObject({
        op: z.string(),
        urn: z.string(),
        type: z.string(),
        old: state.nullish(),
        keys: z.array(z.string()).nullish(),
        diffs: z.array(z.string()).nullish(),
        detailedDiff: z.record(z.string(), z.unknown()).nullish(),
      }),
    })
    .optional(),
  summaryEvent: z.looseObject({}).optional(),
});

/** What the engine would do to one resource. */
export interface Step {
  readonly op: string;
  readonly urn: string;
  readonly type: string;
  /** Properties that make it so. */
  readonly properties: readonly string[];
  /** Whether Pulumi refuses to delete what is there. */
  readonly protected: boolean;
}

/** What a policy said of a resource. */
export interface Violation {
  readonly policy: string;
  readonly urn: string;
  readonly message: string;
  /** Whether it fails the preview. */
  readonly mandatory: boolean;
}

export interface Preview {
  readonly steps: readonly Step[];
  readonly errors: readonly string[];
  readonly violations: readonly Violation[];
  /** Whether the engine came to its end, so that the steps are all there are. */
  readonly complete: boolean;
}

/** A preview that could not be read. */
export class PreviewError extends Error {
  override readonly name = "PreviewError";
}

/** Text without the marks of the CLI's colours. */
const uncoloured = (text: string): string => text.replaceAll(/<\{%.*?%\}>/g, "").trim();

const typeIn = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new PreviewError(`the preview's output has another form: ${z.prettifyError(result.error)}`);
}

function fromDocument(value: unknown): Preview {
  const { steps, diagnostics, changeSummary } = parsed(documentSchema, value);
  return {
    steps: (steps ?? []).map(
      ({ op, urn, oldState, newState, replaceReasons, diffReasons, detailedDiff }) => ({
        op,
        urn,
        type: newState?.type ?? oldState?.type ?? typeIn(urn),
        properties: [...(replaceReasons ?? []), ...(diffReasons ?? []), ...Object.keys(detailedDiff ?? {})],
        protected: oldState?.protect === true,
      }),
    ),
    errors: (diagnostics ?? [])
      .filter(({ severity }) => severity === "error")
      .map(({ message = "" }) => uncoloured(message)),
    violations: [],
    complete: changeSummary !== undefined && changeSummary !== null,
  };
}

function fromEvents(values: readonly unknown[]): Preview {
  const events = values.map((value) => parsed(eventSchema, value));
  return {
    steps: events.flatMap(({ resourcePreEvent }) => {
      if (!resourcePreEvent) return [];
      const { op, urn, type, old, keys, diffs, detailedDiff } = resourcePreEvent.metadata;
      return [
        {
          op,
          urn,
          type,
          properties: [...(keys ?? []), ...(diffs ?? []), ...Object.keys(detailedDiff ?? {})],
          protected: old?.protect === true,
        },
      ];
    }),
    errors: events.flatMap(({ diagnosticEvent, errorEvent }) => [
      ...(diagnosticEvent?.severity === "error" && diagnosticEvent.ephemeral !== true
        ? [uncoloured(diagnosticEvent.message)]
        : []),
      ...(errorEvent ? [uncoloured(errorEvent.error)] : []),
    ]),
    violations: events.flatMap(({ policyEvent }) =>
      policyEvent
        ? [
            {
              policy: policyEvent.policyName,
              urn: policyEvent.resourceUrn ?? "",
              message: uncoloured(policyEvent.message),
              mandatory: policyEvent.enforcementLevel === "mandatory",
            },
          ]
        : [],
    ),
    complete: events.some(({ summaryEvent }) => summaryEvent !== undefined),
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PreviewError(
      `the preview's output is no JSON (${error instanceof Error ? error.message : String(error)}); ` +
        "it must be what 'pulumi preview --json' writes to standard output",
      { cause: error },
    );
  }
}

const isEvent = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "sequence" in value;

/**
 * Reads a preview. What the CLI says before its JSON, such as that it loads a policy pack, is passed over.
 * @throws PreviewError when it is no preview
 */
export function readPreview(text: string): Preview {
  const start = text.search(/^\{/m);
  if (start < 0) throw new PreviewError("the preview printed no JSON: it ended before it began");
  const body = text.slice(start).trim();
  const [first = "", ...rest] = body.split("\n");
  // A document is printed over many lines, an event on one.
  if (!first.trimEnd().endsWith("}")) return fromDocument(json(body));
  const values = [first, ...rest].filter((line) => line.trim() !== "").map(json);
  return values.every(isEvent) ? fromEvents(values) : fromDocument(json(body));
}
