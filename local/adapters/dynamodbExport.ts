import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { z } from "zod";
import type { ExportableTables } from "../../functions/plan/dynamodb.ts";
import type { Restorable } from "../../functions/plan/exportWindows.ts";
import { type Change, lastChanges, readChanges } from "./changeLog.ts";
import type { DirectoryStore } from "./directoryStore.ts";

/** An error of the DynamoDB API; `name` is the API's name for it. */
export class DynamodbError extends Error {
  override readonly name: string;

  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

const invalid = (message: string): DynamodbError => new DynamodbError("ValidationException", message);

/** Step Functions passes timestamps as ISO texts. */
const timestamp = z.iso.datetime().transform((text) => new Date(text));

const requestSchema = z.strictObject({
  TableArn: z.string(),
  S3Bucket: z.string(),
  S3Prefix: z.string().default(""),
  S3SseAlgorithm: z.enum(["AES256", "KMS"]).optional(),
  S3SseKmsKeyId: z.string().optional(),
  ClientToken: z.string().optional(),
  ExportFormat: z.literal("DYNAMODB_JSON").default("DYNAMODB_JSON"),
  ExportType: z.enum(["FULL_EXPORT", "INCREMENTAL_EXPORT"]).default("FULL_EXPORT"),
  ExportTime: timestamp.optional(),
  IncrementalExportSpecification: z
    .strictObject({
      ExportFromTime: timestamp,
      ExportToTime: timestamp,
      ExportViewType: z.literal("NEW_IMAGE"),
    })
    .optional(),
});
type ExportRequest = z.infer<typeof requestSchema>;

/** The fields of the API's ExportDescription that readers use. */
export interface ExportDescription {
  readonly ExportArn: string;
  readonly ExportStatus: "IN_PROGRESS" | "COMPLETED" | "FAILED";
  readonly TableArn: string;
  readonly S3Bucket: string;
  readonly S3Prefix: string;
  readonly ExportType: ExportRequest["ExportType"];
  readonly StartTime: string;
  readonly EndTime?: string;
  readonly ExportManifest?: string;
  readonly ItemCount?: number;
  readonly FailureCode?: string;
  readonly FailureMessage?: string;
}

/** What is exported: `from` is null for a full export. */
interface Period {
  readonly from: Date | null;
  readonly to: Date;
}

const day = 86_400_000;
const recoveryDays = 35;
const longestWindow = day;
/** DynamoDB writes at least one file a partition. */
const partitions = 4;

const md5 = (data: Uint8Array | string, encoding: "base64" | "hex"): string =>
  createHash("md5").update(data).digest(encoding);

/**
 * Exports of tables to S3 as DynamoDB makes them: the API's requests, answers and errors, and its files. A table is
 * a log of changes, `<directory>/<table>.jsonl`; every change up to the present can be exported.
 */
export class LocalDynamodbExports implements ExportableTables {
  readonly #directory: string;
  readonly #store: DirectoryStore;
  readonly #minimumWindowSeconds: number;
  readonly #now: () => Date;
  readonly #exports = new Map<string, ExportDescription>();
  readonly #tokens = new Map<string, { readonly request: string; readonly answer: ExportDescription }>();

  /** @param minimumWindowSeconds shortest incremental export; DynamoDB's is 15 minutes */
  constructor(
    directory: string,
    store: DirectoryStore,
    minimumWindowSeconds: number,
    now: () => Date = () => new Date(),
  ) {
    this.#directory = directory;
    this.#store = store;
    this.#minimumWindowSeconds = minimumWindowSeconds;
    this.#now = now;
  }

  arn(table: string): string {
    return `arn:aws:dynamodb:local:000000000000:table/${table}`;
  }

  async restorable(table: string): Promise<Restorable> {
    this.#logOf(this.arn(table));
    const latest = this.#now();
    return { earliest: new Date(latest.getTime() - recoveryDays * day), latest };
  }

  async hasChanges(table: string, from: Date, to: Date): Promise<boolean> {
    return within(await readChanges(this.#logOf(this.arn(table))), { from, to }).length > 0;
  }

  /**
   * `ExportTableToPointInTime`. The export is complete when it answers, but as in the cloud only
   * `describeExport` says so.
   * @throws DynamodbError named as the API's error
   */
  async exportTableToPointInTime(input: unknown): Promise<{ ExportDescription: ExportDescription }> {
    const parsed = requestSchema.safeParse(input);
    if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
    const request = parsed.data;
    const text = JSON.stringify(request);
    const earlier = request.ClientToken === undefined ? undefined : this.#tokens.get(request.ClientToken);
    if (earlier && earlier.request !== text) {
      throw new DynamodbError("ExportConflictException", "the client token was used for another export");
    }
    if (earlier) return { ExportDescription: earlier.answer };
    const log = this.#logOf(request.TableArn);
    const period = this.#periodOf(request);
    const started = this.#now();
    const millis = String(started.getTime()).padStart(14, "0");
    const id = `${millis}-${md5(`${text} ${this.#exports.size}`, "hex").slice(0, 8)}`;
    const answer: ExportDescription = {
      ExportArn: `${request.TableArn}/export/${id}`,
      ExportStatus: "IN_PROGRESS",
      TableArn: request.TableArn,
      S3Bucket: request.S3Bucket,
      S3Prefix: request.S3Prefix,
      ExportType: request.ExportType,
      StartTime: started.toISOString(),
    };
    this.#exports.set(answer.ExportArn, await this.#run(request, answer, id, log, period));
    if (request.ClientToken !== undefined) this.#tokens.set(request.ClientToken, { request: text, answer });
    return { ExportDescription: answer };
  }

  /** `DescribeExport`. @throws DynamodbError ExportNotFoundException */
  async describeExport(input: {
    readonly ExportArn: string;
  }): Promise<{ ExportDescription: ExportDescription }> {
    const found = this.#exports.get(input.ExportArn);
    if (!found) throw new DynamodbError("ExportNotFoundException", `Export not found: ${input.ExportArn}`);
    return { ExportDescription: found };
  }

  #logOf(tableArn: string): string {
    const table = /^arn:aws:dynamodb:local:\d{12}:table\/([A-Za-z0-9_.-]+)$/.exec(tableArn)?.[1];
    if (!table) throw invalid(`"${tableArn}" is no ARN of a table here; expected ${this.arn("<table>")}`);
    const file = path.join(this.#directory, `${table}.jsonl`);
    if (!existsSync(file)) {
      throw new DynamodbError("TableNotFoundException", `Table not found: ${tableArn} (there is no ${file})`);
    }
    return file;
  }

  #periodOf({ ExportType, ExportTime, IncrementalExportSpecification: window }: ExportRequest): Period {
    const now = this.#now();
    const earliest = new Date(now.getTime() - recoveryDays * day);
    const restorable = (instant: Date): void => {
      if (instant < earliest || instant > now) {
        const span = `${earliest.toISOString()} to ${now.toISOString()}`;
        const message = `${instant.toISOString()} is outside of the point in time recovery window, ${span}`;
        throw new DynamodbError("InvalidExportTimeException", message);
      }
    };
    if (ExportType === "FULL_EXPORT") {
      if (window)
        throw invalid("IncrementalExportSpecification goes with ExportType INCREMENTAL_EXPORT only");
      const to = ExportTime ?? now;
      restorable(to);
      return { from: null, to };
    }
    if (!window) throw invalid("ExportType INCREMENTAL_EXPORT needs an IncrementalExportSpecification");
    const { ExportFromTime: from, ExportToTime: to } = window;
    restorable(from);
    restorable(to);
    const length = to.getTime() - from.getTime();
    if (length < this.#minimumWindowSeconds * 1000 || length > longestWindow) {
      throw invalid(
        `the export period is ${length / 1000} seconds; it must be at least ${this.#minimumWindowSeconds} seconds ` +
          `and at most ${longestWindow / 1000}`,
      );
    }
    return { from, to };
  }

  async #run(
    request: ExportRequest,
    description: ExportDescription,
    id: string,
    log: string,
    period: Period,
  ): Promise<ExportDescription> {
    try {
      const lines = exportLines(await readChanges(log), period);
      const ExportManifest = await this.#write(request, description, id, lines, period);
      const EndTime = this.#now().toISOString();
      return { ...description, ExportStatus: "COMPLETED", EndTime, ExportManifest, ItemCount: lines.length };
    } catch (error) {
      // An export that has begun does not fail the request; its description says what went wrong.
      const FailureMessage = error instanceof Error ? error.message : String(error);
      const EndTime = this.#now().toISOString();
      return { ...description, ExportStatus: "FAILED", EndTime, FailureCode: "UNKNOWN", FailureMessage };
    }
  }

  /** Writes data files and manifests; returns the key of the summary. */
  async #write(
    { S3Bucket: bucket, S3Prefix, S3SseAlgorithm, S3SseKmsKeyId, TableArn }: ExportRequest,
    { ExportArn, ExportType, StartTime }: ExportDescription,
    id: string,
    lines: readonly string[],
    { from, to }: Period,
  ): Promise<string> {
    const base = `${S3Prefix === "" ? "" : `${S3Prefix.replace(/\/+$/, "")}/`}AWSDynamoDB`;
    const folder = `${base}/${id}`;
    // Incremental exports with one prefix share a data folder; only the manifest says whose a file is.
    const dataFolder = ExportType === "FULL_EXPORT" ? `${folder}/data` : `${base}/data`;
    await this.#store.putText(bucket, `${folder}/_started`, "");
    const files: string[] = [];
    let bytes = 0;
    for (let partition = 0; partition < partitions; partition += 1) {
      const own = lines.filter((_, index) => index % partitions === partition);
      const data = gzipSync(own.map((line) => `${line}\n`).join(""));
      const dataFileS3Key = `${dataFolder}/${md5(`${id}/${partition}`, "hex").slice(0, 26)}.json.gz`;
      await this.#store.putBytes(bucket, dataFileS3Key, data);
      const file = { itemCount: own.length, md5Checksum: md5(data, "base64"), etag: `${md5(data, "hex")}-1` };
      files.push(JSON.stringify({ ...file, dataFileS3Key }));
      bytes += data.length;
    }
    const manifestFilesS3Key = `${folder}/manifest-files.json`;
    await this.#putWithChecksum(bucket, manifestFilesS3Key, files.map((file) => `${file}\n`).join(""));
    const summary = {
      version: from ? "2023-08-01" : "2020-06-30",
      exportArn: ExportArn,
      startTime: StartTime,
      endTime: this.#now().toISOString(),
      tableArn: TableArn,
      tableId: md5(TableArn, "hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
      ...(from
        ? { exportFromTime: from.toISOString(), exportToTime: to.toISOString(), outputView: "NEW_IMAGE" }
        : { exportTime: to.toISOString() }),
      s3Bucket: bucket,
      s3Prefix: S3Prefix === "" ? null : S3Prefix,
      s3SseAlgorithm: S3SseAlgorithm ?? "AES256",
      s3SseKmsKeyId: S3SseKmsKeyId ?? null,
      manifestFilesS3Key,
      billedSizeBytes: bytes,
      itemCount: lines.length,
      outputFormat: "DYNAMODB_JSON",
      exportType: ExportType,
    };
    const summaryKey = `${folder}/manifest-summary.json`;
    await this.#putWithChecksum(bucket, summaryKey, JSON.stringify(summary));
    return summaryKey;
  }

  async #putWithChecksum(bucket: string, key: string, text: string): Promise<void> {
    await this.#store.putText(bucket, key, text);
    await this.#store.putText(bucket, key.replace(/\.json$/, ".md5"), md5(text, "base64"));
  }
}

/** The changes with from ≤ time < to. */
function within(changes: readonly Change[], { from, to }: Period): Change[] {
  const start = from ? from.getTime() * 1000 : Number.NEGATIVE_INFINITY;
  const end = to.getTime() * 1000;
  return changes.filter(({ micros }) => micros >= start && micros < end);
}

/** The lines of an export: items as they were at `to`, or the net change of each item in the window. */
function exportLines(changes: readonly Change[], period: Period): string[] {
  const last = lastChanges(within(changes, period));
  if (!period.from) {
    return last.flatMap((change) => (change.op === "PUT" ? [JSON.stringify({ Item: change.item })] : []));
  }
  return last.map((change) =>
    JSON.stringify({
      Metadata: { WriteTimestampMicros: { N: String(change.micros) } },
      Keys: change.keys,
      ...(change.op === "PUT" && { NewImage: change.item }),
    }),
  );
}
