/** The recorded file operations of the jobs as the calls that Glue's Spark and Iceberg make for them on AWS. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Call, Stack } from "./calls.ts";
import type { Recording } from "./recorder/record.ts";

/** The recording that is kept; `npm run least-privilege:record` writes it anew. */
export const recordingFile = path.join(import.meta.dirname, "recorded-jobs.json");

export const readRecording = (): Recording => JSON.parse(readFileSync(recordingFile, "utf8")) as Recording;

/** Actions on objects, and whether the operation also lists. S3A looks at a path as an object, then as a folder. */
const objectActions: Readonly<Record<string, readonly string[]>> = {
  open: ["s3:GetObject"],
  "py-open": ["s3:GetObject"],
  status: ["s3:GetObject", "s3:ListBucket"],
  list: ["s3:ListBucket"],
  "py-list": ["s3:ListBucket"],
  // Parts of a file: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
  create: ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
  "py-create": ["s3:PutObject"],
  mkdirs: ["s3:PutObject"],
  delete: ["s3:DeleteObject", "s3:ListBucket"],
  // S3 has no rename: it is a copy and a deletion.
  "rename-from": ["s3:GetObject", "s3:DeleteObject"],
  "rename-to": ["s3:PutObject"],
};

/** What the catalog is asked for in place of the files by which a Hadoop catalog knows its tables. */
function catalogActions(operation: string, pattern: string): readonly string[] | undefined {
  if (!pattern.startsWith("tables/")) return undefined;
  if (operation === "rename-to" && pattern.endsWith("/v1.metadata.json")) return ["glue:CreateTable"];
  if (operation === "rename-to" && pattern.endsWith("/v….metadata.json")) return ["glue:UpdateTable"];
  if (operation === "open" && /version-hint\.text$|metadata\.json$/.test(pattern)) return ["glue:GetTable"];
  return undefined;
}

/** Operations that only a Hadoop catalog needs: Glue holds the pointer, and S3FileIO neither lists nor renames. */
function onlyHadoop(operation: string, pattern: string): boolean {
  if (!pattern.startsWith("tables/")) return false;
  return (
    pattern.endsWith("version-hint.text") ||
    ["status", "list", "mkdirs", "rename-from", "rename-to"].includes(operation)
  );
}

/** Parts of the lake that lie elsewhere when deployed, or whose pattern hides which object is meant. */
const places: Readonly<
  Record<string, Readonly<Record<string, { readonly zone: string; readonly key: string }>>>
> = {
  clickstream: {
    checkpoints: { zone: "staging", key: "checkpoints/clickstream" },
    "checkpoints/…": { zone: "staging", key: "checkpoints/clickstream/x" },
    "plans/…": { zone: "landing", key: "plans/streams/clickstream.json" },
  },
};

/** Where the plan names the version of every object, so that S3 asks for another right than on a laptop. */
const versioned: Readonly<Record<string, RegExp>> = { "landing py-open": /^drops\// };

/** Every call of the jobs' roles. */
export function jobCalls(stack: Stack, recording: Recording): readonly Call[] {
  const calls: Call[] = [];
  for (const [module, zones] of Object.entries(recording)) {
    // The recipe's executor here stands for DataBrew, a service: what it does to files is no proof of what that asks for.
    if (module === "recipe") continue;
    // Roles bear the modules' names, those of the fraud jobs too.
    const role = module.replaceAll("_", "-");
    const add = (action: string, resource: string, context: Call["context"] = {}): void => {
      calls.push({ role, action, resource, context });
    };
    for (const [zone, operations] of Object.entries(zones)) {
      const bucket = `arn:aws:s3:::${stack.bucket(zone)}`;
      const database = stack.name.replaceAll("-", "_");
      for (const [operation, patterns] of Object.entries(operations)) {
        for (const pattern of patterns) {
          for (const action of catalogActions(operation, pattern) ?? []) {
            for (const part of [
              "catalog",
              `database/${database}_${zone}`,
              `table/${database}_${zone}/orders`,
            ]) {
              add(action, stack.arn("glue", part));
            }
          }
          const given = versioned[`${zone} ${operation}`]?.test(pattern)
            ? ["s3:GetObjectVersion"]
            : objectActions[operation];
          if (!given)
            throw new Error(`the recording has the operation '${operation}', which no call stands for`);
          if (onlyHadoop(operation, pattern)) {
            // A commit's rename makes the metadata file, which S3FileIO writes in its place.
            if (operation === "rename-to") add("s3:PutObject", `${bucket}/${pattern.replaceAll("…", "x")}`);
            continue;
          }
          const place = places[module]?.[pattern];
          const at = place ? `arn:aws:s3:::${stack.bucket(place.zone)}` : bucket;
          const key = place?.key ?? pattern.replaceAll("…", "x");
          for (const action of given) {
            if (action === "s3:ListBucket") {
              // A folder is looked for with a slash at its end.
              add(action, at, { "s3:prefix": `${key}/` });
              continue;
            }
            // A directory is an object whose key ends in a slash.
            add(action, `${at}/${key}${operation === "mkdirs" ? "/" : ""}`);
            const use =
              action === "s3:PutObject"
                ? "GenerateDataKey"
                : action.startsWith("s3:GetObject")
                  ? "Decrypt"
                  : undefined;
            if (use) add(`kms:${use}`, stack.dataKey, { "kms:ViaService": stack.viaService("s3") });
          }
        }
      }
    }
  }
  return [...calls, ...secretCalls(stack)];
}

/** What the MySQL job asks for before it reads: its secret. */
function secretCalls(stack: Stack): readonly Call[] {
  const job = stack.named("aws:glue/job:Job", `${stack.name}-extract-mysql`);
  const secret = (job.inputs.defaultArguments as Record<string, string>)["--mysql-secret"];
  return secret === undefined
    ? []
    : [{ role: "extract-mysql", action: "secretsmanager:GetSecretValue", resource: secret, context: {} }];
}
