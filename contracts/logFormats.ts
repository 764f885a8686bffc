/** What a contract says about logs: how a record is written, and which of its values means what. */
import { z } from "zod";

/** What is read of a record, before it is cleaned. `request` is the line "METHOD target PROTOCOL". */
export const rawFields = [
  "event_id",
  "time",
  "service",
  "client_ip",
  "request",
  "method",
  "target",
  "query",
  "protocol",
  "status",
  "duration",
  "request_bytes",
  "response_bytes",
  "user_agent",
  "referrer",
  "customer_id",
  "message",
] as const;
export type RawField = (typeof rawFields)[number];

const origin = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const formatSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, "must be snake_case of at most 32 characters"),
    /** Folder of its drops in the landing bucket. */
    prefix: z.string().endsWith("/", "must end in /"),
    /** json: an object a line. csv: with header. spaced: blanks, "…" and […]. tabbed: tabs, nothing is quoted. */
    syntax: z.enum(["json", "csv", "spaced", "tabbed"]),
    /** Values of a record in order; a JSON object has names instead. */
    columns: z.array(z.string().min(1)).min(1).optional(),
    /** Where each field is; several columns are joined by a blank, or added up when they are durations. */
    fields: z.partialRecord(z.enum(rawFields), origin),
    /** Fields that must be there for a request to the API to be accepted. */
    requiredFields: z.array(z.enum(rawFields)).default([]),
    durationUnit: z.enum(["s", "ms", "us"]).default("ms"),
    /** Lines that begin so are no records. */
    comment: z.string().length(1).optional(),
    /** Columns whose values are %-encoded. */
    percentEncoded: z.array(z.string()).default([]),
  })
  .superRefine(({ name, syntax, columns, fields, percentEncoded, requiredFields }, context) => {
    const say = (message: string): void =>
      context.addIssue({ code: "custom", message: `${name}: ${message}` });
    if (syntax !== "json" && !columns)
      say(`syntax '${syntax}' needs columns: the values of a record in order`);
    if (syntax === "json" && columns) say("a JSON object has names; leave columns out");
    const named = [...Object.values(fields).flat(), ...percentEncoded];
    for (const column of columns ? named : []) {
      if (!columns?.includes(column)) say(`'${column}' is none of its columns ${columns?.join(", ")}`);
    }
    for (const field of requiredFields) {
      if (!(field in fields)) say(`requiredFields: '${field}' is none of its fields`);
    }
    if (!fields.request && !(fields.method && fields.target))
      say("fields need request, or method and target");
    if (!fields.time) say("fields need time");
  });
export type LogFormat = z.infer<typeof formatSchema>;

/** `source` of a contract whose records are logs. */
export const logSourceSchema = z.strictObject({
  kind: z.literal("logs"),
  /** Longer records are refused. */
  maxRecordBytes: z.int().min(1024).default(1_048_576),
  /** A record whose time is further from its arrival than this has a wrong clock. */
  pastDays: z.number().min(0).default(400),
  futureMinutes: z.number().min(0).default(60),
  formats: z.array(formatSchema).min(1),
});
export type LogSource = z.infer<typeof logSourceSchema>;
