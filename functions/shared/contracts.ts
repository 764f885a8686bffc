import { z } from "zod";
import { type Contract, parseContract, type Source } from "../../contracts/contract.ts";
import type { ObjectStore } from "./objectStore.ts";

/** A contract of a dataset that is read from a source of the given kind. */
export type SourceContract<Kind extends Source["kind"] = Source["kind"]> = Contract & {
  readonly source: Extract<Source, { kind: Kind }>;
};

const bundleKey = "contracts.json";
const bundleSchema = z.object({ contracts: z.array(z.looseObject({ name: z.string() })) });

/** The contracts with a source, from the bundle in the artifacts bucket, ordered by name. */
export async function loadSourceContracts(store: ObjectStore, artifacts: string): Promise<SourceContract[]> {
  const text = await store.getText(artifacts, bundleKey);
  const { contracts } = bundleSchema.parse(JSON.parse(text));
  return contracts
    .map((document) =>
      parseContract(`${document.name} in s3://${artifacts}/${bundleKey}`, JSON.stringify(document)),
    )
    .filter((contract): contract is SourceContract => contract.source !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those of the contracts that are read from one kind of source. */
export function ofKind<Kind extends Source["kind"]>(
  contracts: readonly SourceContract[],
  kind: Kind,
): SourceContract<Kind>[] {
  return contracts.filter((contract): contract is SourceContract<Kind> => contract.source.kind === kind);
}
