/** `npm run redrive -- --out DIR`: delivers again what a local run's failure destination keeps. */
import { type RedriveReport, redrive } from "../functions/redrive/redrive.ts";
import type { LogSink } from "../functions/shared/logger.ts";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { startDynamodb } from "./adapters/dynamodbServer.ts";
import { apiEvents, composeApiLogs, lambdaContext } from "./apiLogs.ts";
import { contractsOf } from "./deployment.ts";
import { buckets, Workspace } from "./workspace.ts";

/** @throws UserError when another process uses the folder */
export async function redriveLocal(out: string): Promise<RedriveReport> {
  const workspace = new Workspace(out);
  const unlock = await workspace.lock();
  try {
    const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === apiEvents);
    if (!contract) throw new Error(`there is no contract '${apiEvents}'`);
    const dynamodb = await startDynamodb(workspace.ledger);
    try {
      const store = new DirectoryStore(workspace.lake);
      const logged: LogSink = (level, line) => {
        if (level !== "info") process.stderr.write(`${line}\n`);
      };
      const app = await composeApiLogs({ store, dynamodb, logged }, workspace, contract);
      return await redrive(
        { store, deliver: async (event) => (await app.stream(event, lambdaContext)).response },
        { bucket: buckets.quarantine },
      );
    } finally {
      await dynamodb.close();
    }
  } finally {
    await unlock();
  }
}
