import { readFileSync } from "node:fs";
import path from "node:path";
import { PolicyPack } from "@pulumi/policy";
import { toPolicies } from "./pack.ts";
import { rules } from "./rules.ts";

// Importing this starts the pack: everything else is in modules that can be imported without.
new PolicyPack("securecart-policies", {
  policies: toPolicies(rules),
  readme: readFileSync(path.join(import.meta.dirname, "README.md"), "utf8"),
});
