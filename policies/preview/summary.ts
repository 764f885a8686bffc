/** What a deployment would do, as a comment on a pull request. */
import { type Preview, PreviewError, readPreview, type Violation } from "./read.ts";

/** Types whose loss is a loss of data, or of what data is encrypted with. */
export const statefulTypes: ReadonlySet<string> = new Set([
  "aws:cloudwatch/logGroup:LogGroup",
  "aws:dynamodb/globalTable:GlobalTable",
  "aws:dynamodb/table:Table",
  "aws:ec2/vpc:Vpc",
  "aws:efs/fileSystem:FileSystem",
  "aws:glue/catalogDatabase:CatalogDatabase",
  "aws:glue/catalogTable:CatalogTable",
  "aws:kinesis/stream:Stream",
  "aws:kms/key:Key",
  "aws:rds/cluster:Cluster",
  "aws:rds/instance:Instance",
  "aws:redshift/cluster:Cluster",
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
  discard: "nothing",
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
  readonly protected: boolean;
}

/**
 * The changes of a preview, one a resource.
 * @throws PreviewError at a step that this program does not know
 */
export function changesOf({ steps }: Preview): readonly Change[] {
  const changes = new Map<string, Change>();
  for (const step of steps) {
    const kind = kindOf[step.op];
    if (kind === undefined) {
      throw new PreviewError(`the preview has the step '${step.op}', which this summary does not know`);
    }
    if (kind === "nothing") continue;
    const before = changes.get(step.urn);
    changes.set(step.urn, {
      kind,
      type: step.type,
      name: nameIn(step.urn),
      properties: [...new Set([...(before?.properties ?? []), ...step.properties])],
      protected: before?.protected === true || step.protected,
    });
  }
  return [...changes.values()];
}

const nameIn = (urn: string): string => urn.split("::").slice(3).join("::") || urn;

/** Text as it stands in Markdown: names are a program's, so nothing of them is markup. */
const plain = (text: string): string =>
  text.replaceAll(/[\\`*_{}[\]<>()#+!|~@-]/g, "\\$&").replaceAll(/\s+/g, " ");

const caution = (text: string): readonly string[] => [
  "> [!CAUTION]",
  ...text.split("\n").map((line) => `> ${plain(line)}`),
  "",
];

const violated = ({ policy, urn, message }: Violation): string =>
  `${policy}${urn === "" ? "" : ` at ${nameIn(urn)}`}: ${message}`;

const isGrave = ({ kind, type }: Change): boolean =>
  statefulTypes.has(type) && (kind === "replaced" || kind === "deleted");

// GitHub takes 65,536 characters in a comment: so many of each kind of message, so long each before what is no markup is
// marked as none, which makes it at most three times as long, and so much for the table.
const mostMessages = 12;
const longestMessage = 400;
const mostCharacters = 28_000;

/** The first messages, each cut to a length, and how many are left. */
function first(texts: readonly string[]): { readonly shown: readonly string[]; readonly left: number } {
  const cut = (text: string): string =>
    text.length > longestMessage ? `${text.slice(0, longestMessage)} …` : text;
  return {
    shown: texts.slice(0, mostMessages).map(cut),
    left: Math.max(0, texts.length - mostMessages),
  };
}

function table(changes: readonly Change[]): readonly string[] {
  const rank = (change: Change): number => (isGrave(change) ? -1 : 3 - kinds.indexOf(change.kind));
  const rows = changes
    .toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
    .map((change) => {
      const bold = isGrave(change) ? "**" : "";
      const isRefused = change.protected && (change.kind === "replaced" || change.kind === "deleted");
      const note = isRefused ? " (protected: the deployment would fail)" : "";
      return (
        `| ${bold}${change.kind}${bold} | ${bold}${plain(change.name)}${bold}${note} | ${plain(change.type)} | ` +
        `${change.properties.map(plain).join(", ")} |`
      );
    });
  let left = mostCharacters;
  const shown = rows.filter((row) => {
    left -= row.length + 1;
    return left >= 0;
  });
  return [
    "| | resource | type | because of |",
    "| --- | --- | --- | --- |",
    ...shown,
    ...(shown.length < rows.length ? ["", `And ${rows.length - shown.length} more.`] : []),
  ];
}

/**
 * The comment for one stack. A replaced or deleted resource that holds data is bold and stands first. Only a preview
 * that came to its end without an error says that nothing changes.
 *
 * @param text what `pulumi preview --json` printed
 * @param succeeded whether the command did, where the caller knows: the output does not always tell
 * @throws PreviewError when it cannot be read
 */
export function summaryOf(stack: string, text: string, succeeded = true): string {
  const preview = readPreview(text);
  const changes = changesOf(preview);
  const mandatory = preview.violations.filter((each) => each.mandatory);
  const advisory = preview.violations.filter((each) => !each.mandatory);
  const failed = !succeeded || !preview.complete || preview.errors.length > 0 || mandatory.length > 0;
  const lines = [`### Preview of ${plain(stack)}`, ""];
  if (failed) lines.push("**The preview failed.** What it would do is not all known.", "");
  const errors = first(preview.errors);
  const refusals = first(mandatory.map(violated));
  for (const message of [...errors.shown, ...refusals.shown]) lines.push(...caution(message));
  if (errors.left > 0) lines.push(`And ${errors.left} more errors.`, "");
  if (refusals.left > 0) lines.push(`And ${refusals.left} more policies' refusals.`, "");
  if (changes.length === 0) lines.push(failed ? "No changes could be worked out." : "No changes.");
  else {
    const count = (kind: Kind): string => `${changes.filter((each) => each.kind === kind).length} ${kind}`;
    lines.push(`${kinds.map(count).join(", ")}.`, "", ...table(changes));
    if (changes.some(isGrave)) {
      lines.push("", "**Bold: a resource that holds data would be replaced or deleted.**");
    }
  }
  if (advisory.length > 0) {
    lines.push("", `<details><summary>${advisory.length} advisories of policies</summary>`, "");
    const { shown, left } = first(advisory.map(violated));
    for (const message of shown) lines.push(`- ${plain(message)}`);
    if (left > 0) lines.push(`- and ${left} more`);
    lines.push("", "</details>");
  }
  return `${lines.join("\n")}\n`;
}
