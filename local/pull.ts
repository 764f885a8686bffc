/** `npm run pull`: one pull of a partner's REST API into the landing bucket, by the function that runs on a schedule on AWS. */
import { setTimeout as sleep } from "node:timers/promises";
import { type PullAnswer, pull, pullDefaults } from "../functions/partner-pull/pull.ts";
import { Ledger } from "../functions/shared/ledger.ts";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { startDynamodb } from "./adapters/dynamodbServer.ts";
import { contractsOf } from "./deployment.ts";
import { buckets, pipelineName, UserError, Workspace } from "./workspace.ts";

/** The dataset that a partner has results of. */
const dataset = "campaigns";

/**
 * @param url address of the partner's collection
 * @param token what the partner knows us by
 * @throws PartnerError when a page cannot be had; UserError when the address or the token is none, or another process
 * uses the folder
 */
export async function pullLocal(out: string, url: string, token: string): Promise<PullAnswer> {
  // "localhost:9000/results" is an address too, of the scheme "localhost:".
  if (!URL.canParse(url) || !["http:", "https:"].includes(new URL(url).protocol)) {
    throw new UserError(
      `--url ${url} is no address of HTTP; write for example https://api.example.com/results`,
    );
  }
  if (token.trim() === "") {
    throw new UserError("there is no token; set PARTNER_TOKEN to the one by which the partner knows you");
  }
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
        ...pullDefaults,
      });
    } finally {
      await dynamodb.close();
    }
  } finally {
    await unlock();
  }
}
