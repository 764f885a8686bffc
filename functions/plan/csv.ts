import type { SourceContract } from "../shared/contracts.ts";
import type { Ledger } from "../shared/ledger.ts";
import type { ObjectInfo, ObjectStore } from "../shared/objectStore.ts";
import type { CsvExtract } from "../shared/plan.ts";

/** Folder markers of consoles and hidden files of desktops are no drops. */
function isDrop({ key }: ObjectInfo): boolean {
  const name = key.slice(key.lastIndexOf("/") + 1);
  return name !== "" && !name.startsWith(".");
}

/**
 * The drops of a dataset that no batch has processed, oldest first. Only the newest version of an object counts:
 * a drop that was corrected twice before the run is read once.
 */
export async function planCsv(
  contract: SourceContract<"csv">,
  bucket: string,
  store: ObjectStore,
  ledger: Ledger,
): Promise<CsvExtract | undefined> {
  const drops = (await store.list(bucket, contract.source.prefix)).filter(isDrop);
  const fresh = await ledger.unclaimed(drops);
  if (fresh.length === 0) return undefined;
  const order = (a: ObjectInfo, b: ObjectInfo): number =>
    a.lastModified.localeCompare(b.lastModified) || (a.key < b.key ? -1 : 1);
  return {
    dataset: contract.name,
    kind: "csv",
    objects: fresh
      .sort(order)
      .map(({ lastModified, ...object }) => ({ ...object, last_modified: lastModified })),
  };
}
