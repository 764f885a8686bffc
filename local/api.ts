/** `npm run api`: POST /events on this machine, with the deployed model and mapping template; `npm start` reads what came. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { requestModel } from "../functions/api-ingestion/model.ts";
import { type PutRecord, startIngestionApi } from "./adapters/ingestionApi.ts";
import { apiEvents } from "./apiLogs.ts";
import { putRecords } from "./clickstream.ts";
import { contractsOf } from "./deployment.ts";
import { isErrno, UserError, Workspace } from "./workspace.ts";

const template = path.resolve(import.meta.dirname, "../functions/api-ingestion/put-record.vtl");
/** Of its own, so that its sequence numbers are no other writer's. */
const shard = "shardId-000000009999";
const key = "local";

/** Puts records into the local stream, each as it comes. Sequence numbers grow with the clock, also over restarts. */
function recordWriter(workspace: Workspace): (record: PutRecord) => Promise<void> {
  let last = 0n;
  return async ({ Data, PartitionKey }) => {
    const now = Date.now();
    const next = BigInt(now) * 1_000_000n;
    last = next > last ? next : last + 1n;
    const record = {
      ShardId: shard,
      SequenceNumber: String(last),
      ApproximateArrivalTimestamp: now / 1000,
      PartitionKey,
      Data,
    };
    await putRecords(workspace, apiEvents, `api-${last}`, `${JSON.stringify(record)}\n`);
  };
}

/** Serves until it is told to stop. @returns its address, once it listens */
export async function openApi(out: string, port: number): Promise<{ url: string; close(): Promise<void> }> {
  const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === apiEvents);
  if (!contract) throw new Error(`there is no contract '${apiEvents}'`);
  return startIngestionApi({
    model: requestModel(contract),
    template: await readFile(template, "utf8"),
    stream: apiEvents,
    keys: new Set([key]),
    put: recordWriter(new Workspace(out)),
    port,
  });
}

/** @returns the exit code, after Ctrl-C */
export async function serveApi(out: string, port: number): Promise<number> {
  const api = await openApi(out, port).catch((error: unknown) => {
    if (!isErrno(error, "EADDRINUSE")) throw error;
    throw new UserError(`port ${port} is taken; --port names another`);
  });
  process.stdout.write(
    `POST ${api.url} takes events until Ctrl-C, for example\n` +
      `  curl ${api.url} -H 'x-api-key: ${key}' -d '{"request_id": "r-1", "timestamp": "${new Date().toISOString()}", ` +
      `"method": "GET", "path": "/orders/17", "status": 200}'\n` +
      "npm start reads what came.\n",
  );
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await api.close();
  return 0;
}
