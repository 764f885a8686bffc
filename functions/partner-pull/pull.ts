/** Pulls what changed at the partner since the last pull into the landing bucket, as a drop that the batch takes up. */
import type { Contract } from "../../contracts/contract.ts";
import type { Ledger } from "../shared/ledger.ts";
import type { ObjectStore } from "../shared/objectStore.ts";
import { type ClientOptions, PartnerError, type PartnerRecord, pages } from "./client.ts";

export interface PullDeps {
  readonly contract: Contract;
  readonly client: Omit<ClientOptions, "now">;
  readonly ledger: Pick<Ledger, "watermarks" | "advanceWatermark">;
  readonly store: Pick<ObjectStore, "putText">;
  readonly landing: string;
  readonly now: () => Date;
  /** Where the first pull begins, ISO 8601. */
  readonly begin: string;
  /** Minutes by which windows overlap, for what the partner publishes late; the batch drops the copies. */
  readonly overlapMinutes: number;
}

export interface PullAnswer {
  readonly from: string;
  readonly to: string;
  readonly records: number;
  readonly pages: number;
  /** The drop; absent when nothing had changed. */
  readonly object?: string;
}

/** What a deployment and a laptop have when nothing else is asked for. */
export const pullDefaults = { begin: "2020-01-01T00:00:00.000Z", overlapMinutes: 10 } as const;

/** The watermark's name in the ledger: the dataset's own belongs to the batch. */
export const watermarkOf = (contract: Contract): string => `partner#${contract.name}`;

/** Renders records as a drop that the contract's dialect reads. */
export function toDrop(contract: Contract, records: readonly PartnerRecord[]): string {
  if (contract.source?.kind !== "csv")
    throw new Error(`${contract.file}: its source is no csv; a pull writes drops`);
  const { delimiter, quote, decimalSeparator, nullValues } = contract.source.dialect;
  const absent = nullValues[0] ?? "";
  const special = new RegExp(`[${delimiter.replace(/[\\\]^-]/, "\\$&")}${quote}\r\n]|^\\s|\\s$`);
  const cell = (value: string | number | null | undefined): string => {
    if (value === null || value === undefined) return absent;
    const text = typeof value === "number" ? String(value).replace(".", decimalSeparator) : value;
    return special.test(text) ? `${quote}${text.replaceAll(quote, quote + quote)}${quote}` : text;
  };
  const lines = records.map((record) =>
    contract.columns.map(({ name }) => cell(record[name])).join(delimiter),
  );
  return `${[contract.columns.map(({ sourceName }) => cell(sourceName)).join(delimiter), ...lines].join("\n")}\n`;
}

/**
 * One pull. The watermark moves after the drop is written: a pull that fails reads its window again, and writes the
 * same object when the window is the same.
 */
export async function pull(deps: PullDeps): Promise<PullAnswer> {
  const { contract, ledger, now } = deps;
  const mark = watermarkOf(contract);
  const last = (await ledger.watermarks([mark])).get(mark)?.watermark;
  const from =
    last === undefined ? deps.begin : new Date(Date.parse(last) - deps.overlapMinutes * 60_000).toISOString();
  const to = now().toISOString();
  if (from >= to)
    throw new PartnerError(`the window from ${from} to ${to} is empty; check the clock and the watermark`);
  const records: PartnerRecord[] = [];
  let count = 0;
  for await (const page of pages({ ...deps.client, now }, { from, to })) {
    count += 1;
    records.push(...page);
  }
  let object: string | undefined;
  if (records.length > 0) {
    if (contract.source?.kind !== "csv") throw new Error(`${contract.file}: its source is no csv`);
    const key = `${contract.source.prefix}partner-${from.replaceAll(/[:.]/g, "-")}--${to.replaceAll(/[:.]/g, "-")}.csv`;
    await deps.store.putText(deps.landing, key, toDrop(contract, records));
    object = `s3://${deps.landing}/${key}`;
  }
  await ledger.advanceWatermark(mark, { watermark: to }, "partner-pull");
  return { from, to, records: records.length, pages: count, ...(object !== undefined && { object }) };
}
