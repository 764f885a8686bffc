// Publishes the contracts as they are: npx tsx contracts/update-lock.ts. The lock file's diff shows what is promised.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { contractsDir, loadAll } from "./bundle.ts";
import { lockOf } from "./check.ts";

const lock = lockOf(await loadAll([contractsDir]));
await writeFile(path.join(contractsDir, "contracts.lock.json"), `${JSON.stringify(lock, null, 2)}\n`);
