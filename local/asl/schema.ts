/** The shape of a definition: which fields each state has. A field that is not here is refused by name. */
import { z } from "zod";

import { isExpression } from "./expression.ts";

const expression = z.string().refine(isExpression, "must be an expression '{% … %}'");
const json = z.json();
const assign = z.record(z.string(), json);
const wholeNumber = (least: number) => z.int().min(least);

const common = { Comment: z.string().optional(), QueryLanguage: z.literal("JSONata").optional() };
const results = { Output: json.optional(), Assign: assign.optional() };
const transition = { Next: z.string().optional(), End: z.literal(true).optional() };
const errorEquals = z.array(z.string().min(1)).min(1);

const retrier = z.strictObject({
  ErrorEquals: errorEquals,
  IntervalSeconds: wholeNumber(1).optional(),
  MaxAttempts: wholeNumber(0).max(99_999_999).optional(),
  BackoffRate: z.number().min(1).optional(),
  MaxDelaySeconds: wholeNumber(1).max(31_622_399).optional(),
  JitterStrategy: z.enum(["FULL", "NONE"]).optional(),
  Comment: z.string().optional(),
});
const catcher = z.strictObject({
  ErrorEquals: errorEquals,
  Next: z.string(),
  ...results,
  Comment: z.string().optional(),
});
const errorHandling = { Retry: z.array(retrier).optional(), Catch: z.array(catcher).optional() };

const graph = {
  StartAt: z.string(),
  States: z.record(
    z.string().min(1).max(80),
    z.lazy(() => state),
  ),
};
const seconds = z.union([wholeNumber(1), expression]).optional();

const state: z.ZodType = z.discriminatedUnion("Type", [
  z.strictObject({ Type: z.literal("Pass"), ...common, ...transition, ...results }),
  z.strictObject({
    Type: z.literal("Task"),
    ...common,
    ...transition,
    ...results,
    ...errorHandling,
    Resource: z.string().regex(/^arn:/, "must be an ARN"),
    Arguments: json.optional(),
    TimeoutSeconds: seconds,
    HeartbeatSeconds: seconds,
  }),
  z.strictObject({
    Type: z.literal("Choice"),
    ...common,
    Choices: z
      .array(
        z.strictObject({
          Condition: expression,
          Next: z.string(),
          ...results,
          Comment: z.string().optional(),
        }),
      )
      .min(1),
    Default: z.string().optional(),
  }),
  z.strictObject({
    Type: z.literal("Wait"),
    ...common,
    ...transition,
    ...results,
    Seconds: z.union([wholeNumber(0).max(99_999_999), expression]).optional(),
    Timestamp: z.string().optional(),
  }),
  z.strictObject({ Type: z.literal("Succeed"), ...common, Output: json.optional() }),
  z.strictObject({
    Type: z.literal("Fail"),
    ...common,
    Error: z.string().min(1),
    Cause: z.string().optional(),
  }),
  z.strictObject({
    Type: z.literal("Parallel"),
    ...common,
    ...transition,
    ...results,
    ...errorHandling,
    Branches: z.array(z.strictObject(graph)).min(1),
    Arguments: json.optional(),
  }),
  z.strictObject({
    Type: z.literal("Map"),
    ...common,
    ...transition,
    ...results,
    ...errorHandling,
    Items: z.union([z.array(json), expression]).optional(),
    ItemSelector: json.optional(),
    ItemProcessor: z.strictObject({
      ...graph,
      ProcessorConfig: z.strictObject({ Mode: z.literal("INLINE") }).optional(),
    }),
    MaxConcurrency: z.union([wholeNumber(0), expression]).optional(),
  }),
]);

const machine = z.strictObject({
  ...graph,
  Comment: z.string().optional(),
  QueryLanguage: z.literal("JSONata", 'must be "JSONata": JSONPath is not supported'),
  TimeoutSeconds: wholeNumber(1).optional(),
});

/** What is wrong with the shape of a definition, one line a problem, each with its place. */
export function shapeProblems(definition: unknown): string[] {
  const parsed = machine.safeParse(definition);
  return parsed.success ? [] : parsed.error.issues.map((issue) => `${place(issue.path)}: ${issue.message}`);
}

function place(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return text.replace(/^\./, "") || "the definition";
}
