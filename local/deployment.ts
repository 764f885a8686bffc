/** What a deployment does on AWS, done to a workspace: contracts and recipes uploaded, tables and warehouse migrated. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { contractsBundle, contractsDir } from "../contracts/bundle.ts";
import { type Contract, contractOf } from "../contracts/contract.ts";
import { SqlRunner } from "../warehouse/dataApi.ts";
import { migrate } from "../warehouse/migrate.ts";
import type { Services } from "./services.ts";
import { defaultArguments } from "./tasks.ts";
import { buckets, messageOf, UserError, type Workspace } from "./workspace.ts";

const schemaFile = path.resolve(import.meta.dirname, "../warehouse/schema.sql");

/** The contracts that a run works by. */
export interface ContractSet {
  /** Their documents and the reference data as JSON, as the jobs read them. */
  readonly bundle: string;
  readonly contracts: readonly Contract[];
  /** True for SecureCart's own contracts, false for a user's. */
  readonly own: boolean;
}

/**
 * SecureCart's contracts, or the user's alone.
 * @throws UserError when the file cannot be read, ContractError when it is not valid
 */
export async function contractsOf(file: string | undefined): Promise<ContractSet> {
  const own = file === undefined || path.dirname(path.resolve(file)) === contractsDir;
  if (!own) {
    const found = await stat(file).catch((error: unknown) => {
      throw new UserError(`--contract ${file} cannot be read (${messageOf(error)}); check the path`);
    });
    if (!found.isFile()) throw new UserError(`--contract ${file} is no file; name one contract, a YAML file`);
  }
  const bundle = await contractsBundle([own ? contractsDir : file]);
  const contracts = bundle.contracts.map((document) => contractOf(String(document.name), document));
  return { bundle: JSON.stringify(bundle), contracts, own };
}

/** Uploads to the artifacts bucket, and brings tables and warehouse to the contracts unless they are there already. */
export async function deploy(
  workspace: Workspace,
  { store, spark, warehouse }: Services,
  { bundle, contracts, own }: ContractSet,
): Promise<void> {
  await store.putText(buckets.artifacts, "contracts.json", bundle);
  const recipes = path.resolve(import.meta.dirname, "../recipes");
  for (const name of (await readdir(recipes)).filter((file) => file.endsWith(".json"))) {
    const text = await readFile(path.join(recipes, name), "utf8");
    await store.putText(buckets.artifacts, `recipes/${name}`, text);
  }
  const stamp = path.join(workspace.root, "deployed", own ? "securecart" : (contracts[0]?.name ?? ""));
  const schema = await readFile(schemaFile, "utf8");
  const wanted = createHash("sha256").update(bundle).update(schema).digest("hex");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return;
  await spark.request("check_contracts", { documents: contracts.map(({ document }) => document) });
  await Promise.all([
    spark.runJob("migrate", Object.entries(defaultArguments(workspace.sources)).flat()),
    migrate(new SqlRunner(warehouse.dataApi("owner")), [...contracts], { database: warehouse.database }),
  ]);
  await mkdir(path.dirname(stamp), { recursive: true });
  await writeFile(stamp, wanted);
}
