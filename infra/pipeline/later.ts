/** Parts that are not in the pipeline yet; whoever builds one takes it off this list. */
export const laterParts = [
  { part: "stream: API event logs and their ingestion", file: "infra/pipeline/ingestion.ts" },
  { part: "fraud: scoring on EMR Serverless", file: "infra/pipeline/fraud.ts" },
] as const;
