import { setTimeout as sleep } from "node:timers/promises";
import { awsDeps, lazily, numberFrom, required } from "../shared/context.ts";
import { loadSourceContracts } from "../shared/contracts.ts";
import { readSecret } from "../shared/secrets.ts";
import { type PullAnswer, pull, pullDefaults } from "./pull.ts";

/**
 * Runs on a schedule; its event says nothing. Beside what every handler needs (LEDGER_TABLE, PIPELINE, *_BUCKET):
 * PARTNER_URL, PARTNER_TOKEN_SECRET_ID, PARTNER_DATASET (campaigns), PARTNER_BEGIN (first window's start, ISO 8601) and
 * PARTNER_OVERLAP_MINUTES ({@link pullDefaults}).
 */
export const handler = lazily<unknown, PullAnswer>(() => async () => {
  const { store, ledger, buckets, log, now } = awsDeps();
  const dataset = process.env.PARTNER_DATASET ?? "campaigns";
  const contract = (await loadSourceContracts(store, buckets.artifacts)).find(({ name }) => name === dataset);
  if (!contract)
    throw new Error(`PARTNER_DATASET names '${dataset}', and no contract with a source has that name`);
  const answer = await pull({
    contract,
    client: {
      url: required("PARTNER_URL"),
      token: await readSecret(required("PARTNER_TOKEN_SECRET_ID")),
      sleep,
    },
    ledger,
    store,
    landing: buckets.landing,
    now,
    begin: process.env.PARTNER_BEGIN ?? pullDefaults.begin,
    overlapMinutes: numberFrom("PARTNER_OVERLAP_MINUTES", pullDefaults.overlapMinutes, 0),
  });
  log.info("pulled", { ...answer });
  return answer;
});
