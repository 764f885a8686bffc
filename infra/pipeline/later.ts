import { existsSync } from "node:fs";
import path from "node:path";
import { root } from "../package/artifacts.ts";

/** Parts that are built with their own files, and are listed as missing until those are there. */
export const laterParts = [
  { part: "stream: clickstream sessions", file: "jobs/securecart/sessions.py" },
  { part: "stream: API event logs", file: "functions/events/handler.ts" },
  { part: "API ingestion: the puller of a partner's API", file: "functions/partner/handler.ts" },
  { part: "fraud: scoring on EMR Serverless", file: "jobs/securecart/fraud_score.py" },
] as const;

/** Whether a file of the repository is there. */
export const fileExists = (file: string): boolean => existsSync(path.join(root, file));
