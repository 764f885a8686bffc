/** What a deployment would do, from `pulumi preview --json`, as a comment on a pull request. */
import { z } from "zod";

const state = z.looseObject({ type: z.string().optional(), protect: z.boolean().optional() });

/** The part of the CLI's answer that is read here. */
const previewSchema = z.looseObject({
  steps: z
    .array(
      z.looseObject({
        op: z.string(),
        urn: z.string(),
        oldState: state.nullish(),
        newState: state.nullish(),
        replaceReasons: z.array(z.string()).nullish(),
        diffReasons: z.array(z.string()).nullish(),
        detailedDiff: z.record(z.string(), z.looseObject({ kind: z.string() })).nullish(),
      }),
    )
    .nullish(),
  diagnostics: z
    .array(z.looseObject({ severity: z.string().optional(), message: z.string().optional() }))
    .nullish(),
});

/** Types whose loss is a loss of data, or of what data is encrypted with. */
export const statefulTypes: ReadonlySet<string> = new Set([
  "aws:cloudwatch/logGroup:LogGroup",
  "aws:dynamodb/table:Table",
  "aws:ec2/vpc:Vpc",
  "aws:glue/catalogDatabase:CatalogDatabase",
  "aws:glue/catalogTable:CatalogTable",
  "aws:kinesis/stream:Stream",
  "aws:kms/key:Key",
  "aws:rds/cluster:Cluster",
  "aws:rds/instance:Instance",
  "aws:redshiftserverless/namespace:Namespace",
  "aws:redshiftserverless/workgroup:Workgroup",
  "aws:s3/bucket:Bucket",
  "aws:s3/bucketV2:BucketV2",
  "aws:secretsmanager/secret:Secret",
  "aws:sqs/queue:Queue",
]);

const kinds = ["created", "changed", "replaced", "deleted"] as const;
type Kind = (typeof kinds)[number];

/** Steps of the engine by what they mean for a person; those of a replacement count as one. */
const kindOf: Readonly<Record<string, Kind | "nothing">> = {
  same: "nothing",
  read: "nothing",
  refresh: "nothing",
  "read-discard": "nothing",
  "discard-replaced": "nothing",
  "remove-pending-replace": "nothing",
  create: "created",
  import: "created",
  update: "changed",
  replace: "replaced",
  "create-replacement": "replaced",
  "delete-replaced": "replaced",
  "import-replacement": "replaced",
  "read-replacement": "replaced",
  delete: "deleted",
};

interface Change {
  readonly kind: Kind;
  readonly type: string;
  readonly name: string;
  readonly properties: readonly string[];
  readonly stateful: boolean;
  readonly protected: boolean;
}

/** A preview that could not be read. */
export class PreviewError extends Error {
  override readonly name = "PreviewError";
}

/**
 * The changes of a preview.
 * @param text what `pulumi preview --json` printed
 * @throws PreviewError when it is none, or has a step that this program does not know
 */
export function changesOf(text: string): readonly Change[] {
  const changes = new Map<string, Change>();
  for (const step of parse(text).steps ?? []) {
    const kind = kindOf[step.op];
    if (kind === undefined) {
      throw new PreviewError(`the preview has the step '${step.op}', which this summary does not know`);
    }
    if (kind === "nothing") continue;
    const [, , chain = "", name = step.urn] = step.urn.split("::");
    const type = step.newState?.type ?? step.oldState?.type ?? chain.split("$").at(-1) ?? "";
    const before = changes.get(step.urn);
    const reasons = [
      ...(step.replaceReasons ?? []),
      ...(step.diffReasons ?? []),
      ...Object.keys(step.detailedDiff ?? {}),
    ];
    changes.set(step.urn, {
      kind,
      type,
      name,
      properties: [...new Set([...(before?.properties ?? []), ...reasons])],
      stateful: statefulTypes.has(type),
      protected: (before?.protected ?? false) || step.oldState?.protect === true,
    });
  }
  return [...changes.values()];
}

/** What went wrong, as the CLI says it: refused policies among it. */
export const errorsOf = (text: string): readonly string[] =>
  (parse(text).diagnostics ?? [])
    .filter(({ severity }) => severity === "error")
    .map(({ message = "" }) => message.replaceAll(/<\{%.*?%\}>/g, "").trim());

function parse(text: string): z.infer<typeof previewSchema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PreviewError(
      `the preview's output is no JSON (${error instanceof Error ? error.message : String(error)}); ` +
        "it must be what 'pulumi preview --json' writes to standard output",
      { cause: error },
    );
  }
  const result = previewSchema.safeParse(value);
  if (!result.success)
    throw new PreviewError(`the preview's output has another form: ${z.prettifyError(result.error)}`);
  return result.data;
}

/** Text as it stands in Markdown: names are a program's, so nothing of them is markup. */
const plain = (text: string): string =>
  text.replaceAll(/[\\`*_{}[\]<>()#+!|~-]/g, "\\$&").replaceAll(/\s+/g, " ");

/**
 * The comment for one stack.
 * A replaced or deleted resource that holds data is bold and stands first.
 */
export function summaryOf(stack: string, text: string): string {
  const changes = changesOf(text);
  const errors = errorsOf(text);
  const lines = [`### Preview of ${plain(stack)}`, ""];
  for (const error of errors)
    lines.push("> [!CAUTION]", ...error.split("\n").map((line) => `> ${plain(line)}`), "");
  if (changes.length === 0) {
    lines.push(errors.length > 0 ? "No changes could be worked out." : "No changes.");
    return `${lines.join("\n")}\n`;
  }
  lines.push(
    `${kinds.map((kind) => `${changes.filter((each) => each.kind === kind).length} ${kind}`).join(", ")}.`,
    "",
  );
  const grave = (change: Change): boolean =>
    change.stateful && (change.kind === "replaced" || change.kind === "deleted");
  const rank = (change: Change): number => (grave(change) ? -1 : 3 - kinds.indexOf(change.kind));
  lines.push("| | resource | type | because of |", "| --- | --- | --- | --- |");
  for (const change of changes.toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))) {
    const bold = grave(change) ? "**" : "";
    const note =
      change.protected && change.kind !== "changed" ? " (protected: the deployment would fail)" : "";
    lines.push(
      `| ${bold}${change.kind}${bold} | ${bold}${plain(change.name)}${bold}${note} | ${plain(change.type)} | ` +
        `${change.properties.map(plain).join(", ")} |`,
    );
  }
  if (changes.some(grave))
    lines.push("", "**Bold: a resource that holds data would be replaced or deleted.**");
  return `${lines.join("\n")}\n`;
}
