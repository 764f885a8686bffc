import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { checkContracts } from "./check.ts";
import { type Contract, type Document, loadContract, loadContracts } from "./contract.ts";

/** Known regions and currencies, with the spellings that mean them. */
export interface Reference {
  readonly regions: Readonly<
    Record<string, { time_zone: string; currency: string; aliases: readonly string[] }>
  >;
  readonly currencies: Readonly<Record<string, { aliases: readonly string[] }>>;
}

/** What jobs and functions read: every contract's document and the reference data. */
export interface ContractsBundle {
  readonly contracts: readonly Document[];
  readonly reference: Reference;
}

/** This directory: the contracts of SecureCart itself. */
export const contractsDir = import.meta.dirname;

/** The contracts of directories and single files together, checked against each other. */
export async function loadAll(paths: readonly string[]): Promise<Contract[]> {
  const loaded = await Promise.all(
    paths.map(async (entry) => {
      const found = await stat(entry).catch((error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`contract ${entry} cannot be read (${why}); check the path`, { cause: error });
      });
      return found.isDirectory() ? loadContracts(entry) : [await loadContract(entry)];
    }),
  );
  const contracts = loaded.flat();
  checkContracts(contracts);
  return contracts;
}

/**
 * The bundle that jobs and functions read from the artifacts bucket.
 * @param paths directories and files of contracts, for example `[contractsDir]`
 * @throws ContractError when a contract, or two together, are not valid
 */
export async function contractsBundle(paths: readonly string[]): Promise<ContractsBundle> {
  const [contracts, reference] = await Promise.all([
    loadAll(paths),
    readFile(path.join(contractsDir, "reference.json"), "utf8"),
  ]);
  return {
    contracts: contracts.map(({ document }) => document),
    reference: JSON.parse(reference) as Reference,
  };
}
