import path from "node:path";
import { type BundleSpec, root } from "../package/artifacts.ts";

const handler = (folder: string): string => path.join(import.meta.dirname, folder, "handler.ts");

/** Functions that a deployment calls. */
export const deploymentBundles = {
  publishRecipe: { entry: handler("publish-recipe") },
  keepRunning: { entry: handler("keep-running") },
  migrateLake: { entry: handler("migrate-lake") },
  migrateWarehouse: {
    entry: handler("migrate-warehouse"),
    files: { "schema.sql": path.join(root, "warehouse/schema.sql") },
  },
} as const satisfies Readonly<Record<string, BundleSpec>>;
export type DeploymentBundle = keyof typeof deploymentBundles;
