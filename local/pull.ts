/** `npm run pull`: one pull of a partner's REST API into the landing bucket, by the function that runs on a schedule on AWS. */
import { setTimeout as sleep } from "node:timers/promises";
import { type PullAnswer, pull } from "../functions/partner-pull/pull.ts";
import { Ledger } from "../functions/shared/ledger.ts";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { startDynamodb } from "./adapters/dynamodbServer.ts";
import { contractsOf } from "./deployment.ts";
import { buckets, pipelineName, UserError, Workspace } from "./workspace.ts";

/** The dataset that a partner has results of. */
const dataset = "campaigns";
/** As the deployed function has them. */
const begin = "2020-01-01T00:00:00.000Z";
const overlapMinutes = 10;

/**
 * @param url address of the partner's collection
 * @param token what the partner knows us by
 * @throws PartnerError when a page cannot be had; UserError when another process uses the folder
 */
export async function pullLocal(out: string, url: string, token: string): Promise<PullAnswer> {
  if (!URL.canParse(url)) throw new UserError(`--url ${url} is no address`);
  const workspace = new Workspace(out);
  const unlock = await workspace.lock();
  try {
    const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === dataset);
    if (!contract) throw new Error(`there is no contract '${dataset}'`);
    const dynamodb = await startDynamodb(workspace.ledger);
    try {
      return await pull({
        contract,
        client: { url, token, sleep },
        ledger: new Ledger(dynamodb.client, dynamodb.ledgerTable, pipelineName),
        store: new DirectoryStore(workspace.lake),
        landing: buckets.landing,
        now: () => new Date(),
        begin,
        overlapMinutes,
      });
    } finally {
      await dynamodb.close();
    }
  } finally {
    await unlock();
  }
}
