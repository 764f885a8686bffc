/** `npm run api`: POST /events on this machine, with the deployed model and mapping template; `npm start` reads what came. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { requestModel } from "../functions/api-ingestion/model.ts";
import { type PutRecord, startIngestionApi } from "./adapters/ingestionApi.ts";
import { apiEvents } from "./apiLogs.ts";
import { putRecords } from "./clickstream.ts";
import { contractsOf } from "./deployment.ts";
import { isErrno, messageOf, UserError, Workspace } from "./workspace.ts";

const template = path.resolve(import.meta.dirname, "../functions/api-ingestion/put-record.vtl");
const key = "local";

/**
 * Puts records into the local stream, one after the other: `npm start`, which may read at any moment, goes on after the
 * last sequence number that it saw of a shard. Each writer therefore has a shard of its own, too, so that neither another
 * process nor the clock can put one behind it.
 * @param put writes a file of the stream
 * @returns how to put a record; its answer is the sequence number, once the record can be read
 */
function recordWriter(workspace: Workspace, put: typeof putRecords): (record: PutRecord) => Promise<string> {
  const shard = `shardId-api-${Date.now()}-${randomUUID()}`;
  let last = 0;
  let before: Promise<unknown> = Promise.resolve();

  async function write({ Data, PartitionKey }: PutRecord): Promise<string> {
    last += 1;
    const sequence = String(last).padStart(20, "0"); // files are read in the order of their names
    const record = {
      ShardId: shard,
      SequenceNumber: sequence,
      ApproximateArrivalTimestamp: Date.now() / 1000,
      PartitionKey,
      Data,
    };
    await put(workspace, apiEvents, `${shard}-${sequence}`, `${JSON.stringify(record)}\n`);
    return sequence;
  }

  return (record) => {
    const written = before.then(() => write(record));
    before = written.catch(() => undefined); // its own caller is told, and the next may come
    return written;
  };
}

/** Serves until it is told to stop. @param put writes a file of the stream. @returns its address, once it listens */
export async function openApi(
  out: string,
  port: number,
  put = putRecords,
): Promise<{ url: string; close(): Promise<void> }> {
  const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === apiEvents);
  if (!contract) throw new Error(`there is no contract '${apiEvents}'`);
  return startIngestionApi({
    model: requestModel(contract),
    template: await readFile(template, "utf8"),
    stream: apiEvents,
    keys: new Set([key]),
    put: recordWriter(new Workspace(out), put),
    onFault: (error) => {
      process.stderr.write(`an event was not taken: ${messageOf(error)}\n`);
    },
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
