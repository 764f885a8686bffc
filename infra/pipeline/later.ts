/** Parts that are not in the pipeline yet; whoever builds one takes it off this list. */
export const laterParts = [
  { part: "ingestion: pulling a partner's API", file: "functions/partner-pull/handler.ts" },
] as const;
