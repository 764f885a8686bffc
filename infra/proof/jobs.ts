/** The recorded file operations of the jobs as the calls that Glue's Spark and Iceberg make for them on AWS. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Call, Stack } from "./calls.ts";
import { type FileOperations, names, type Recording } from "./recorder/record.ts";

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
  // Iceberg's S3FileIO looks first whether the file is there, and S3 says "not found" only to those who may list:
  // https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
  "create-in-table": [
    ...["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
    ...["s3:GetObject", "s3:ListBucket"],
  ],
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
function onlyHadoop(role: string, operation: string, pattern: string): boolean {
  if (!pattern.startsWith("tables/")) return false;
  // Orphan files are looked for through Hadoop's file system with any catalog (Iceberg's DeleteOrphanFilesSparkAction).
  if (role === "maintain" && operation === "list") return false;
  return (
    pattern.endsWith("version-hint.text") ||
    ["status", "list", "mkdirs", "rename-from", "rename-to"].includes(operation)
  );
}

/** Where the streaming job's checkpoint lies on a laptop, and where when deployed. */
const localCheckpoint = /^checkpoints(\/…)?$/;

/** The folder of Kinesis-like records, which a laptop has in place of the stream. */
const localStream = /^streams\/…$/;

/** Where the plan names the version of every object, so that S3 asks for another right than on a laptop. */
const versioned: Readonly<Record<string, RegExp>> = { "landing py-open": /^drops\// };

/** The key that S3 is asked with for each action. */
const keyUses: Readonly<Record<string, string>> = {
  "s3:PutObject": "GenerateDataKey",
  "s3:GetObject": "Decrypt",
  "s3:GetObjectVersion": "Decrypt",
};

/** Every call of the jobs' roles. */
export function jobCalls(stack: Stack, recording: Recording): readonly Call[] {
  const undone = Object.values(recording.failedWrite).some(({ delete: deleted = [] }) =>
    deleted.some((pattern) => /^tables\/…\/data\/…$/.test(pattern)),
  );
  return (
    Object.entries(recording.files)
      // The recipe's executor here stands for DataBrew, a service: what it does to files is no proof of what that asks for.
      .filter(([module]) => module !== "recipe")
      .flatMap(([module, zones]) => [
        ...fileCalls(stack, roleOf(module), zones, undone),
        ...otherCalls(stack, module, recording.calls[module] ?? []),
      ])
  );
}

/** Roles bear the modules' names, those of the fraud jobs too. */
const roleOf = (module: string): string => module.replaceAll("_", "-");

/** What a job's file operations ask S3, the data key and the catalog for. @param undone a write that fails takes back what it wrote */
function fileCalls(stack: Stack, role: string, zones: FileOperations, undone: boolean): readonly Call[] {
  const calls: Call[] = [];
  const add = (action: string, resource: string, context: Call["context"] = {}): void => {
    calls.push({ role, action, resource, context });
  };
  const onObject = (action: string, bucket: string, key: string): void => {
    if (action === "s3:ListBucket") {
      // A folder is looked for with a slash at its end.
      add(action, bucket, { "s3:prefix": `${key}/` });
      return;
    }
    add(action, `${bucket}/${key}`);
    const use = keyUses[action];
    if (use) add(`kms:${use}`, stack.dataKey, { "kms:ViaService": stack.viaService("s3") });
  };
  for (const [zone, operations] of Object.entries(zones)) {
    const database = `${stack.name.replaceAll("-", "_")}_${zone}`;
    for (const [operation, patterns] of Object.entries(operations)) {
      for (const pattern of patterns) {
        if (localStream.test(pattern)) continue;
        for (const action of catalogActions(operation, pattern) ?? []) {
          for (const part of ["catalog", `database/${database}`, `table/${database}/orders`]) {
            add(action, stack.arn("glue", part));
          }
        }
        const checkpoint = role === "clickstream" && localCheckpoint.test(pattern);
        const bucket = `arn:aws:s3:::${stack.bucket(checkpoint ? "staging" : zone)}`;
        const key = pattern
          .replace(/^checkpoints/, checkpoint ? "checkpoints/clickstream" : "$&")
          .replaceAll("…", "x");
        if (onlyHadoop(role, operation, pattern)) {
          // A commit's rename makes the metadata file, which S3FileIO writes in its place.
          if (operation === "rename-to") onObject("s3:PutObject", bucket, key);
          continue;
        }
        const inTable = pattern.startsWith("tables/");
        const given = versioned[`${zone} ${operation}`]?.test(pattern)
          ? ["s3:GetObjectVersion"]
          : objectActions[inTable && operation === "create" ? "create-in-table" : operation];
        if (!given)
          throw new Error(`the recording has the operation '${operation}', which no call stands for`);
        for (const action of given) onObject(action, bucket, operation === "mkdirs" ? `${key}/` : key);
        if (inTable && operation === "create" && undone) onObject("s3:DeleteObject", bucket, key);
      }
    }
  }
  return calls;
}

/** Calls to other services, with the stack's names in place of the recorder's. */
function otherCalls(stack: Stack, module: string, recorded: Recording["calls"][string]): readonly Call[] {
  const role = roleOf(module);
  const database = `${stack.name.replaceAll("-", "_")}_quarantine`;
  return recorded.flatMap(({ action, resource }): Call[] => {
    const call = (named: string): Call => ({ role, action, resource: named, context: {} });
    if (action.startsWith("glue:")) {
      const part = resource.split(":").at(-1) ?? "";
      return [call(stack.arn("glue", part.replace(`/${names.quarantineDatabase}`, `/${database}`)))];
    }
    if (resource === names.topic) {
      // Who publishes to an encrypted topic needs both: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
      const uses = ["kms:Decrypt", "kms:GenerateDataKey"].map((use) => ({
        ...call(stack.dataKey),
        action: use,
        context: { "kms:ViaService": stack.viaService("sns") },
      }));
      return [call(stack.arn("sns", `${stack.name}-fraud-alerts`)), ...uses];
    }
    if (resource === names.secret) return [call(stack.sourceSecret)];
    if (resource === "*") return [call("*")];
    throw new Error(`the recording has ${action} on ${resource}, for which the stack has no name`);
  });
}
