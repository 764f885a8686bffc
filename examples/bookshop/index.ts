// A bookshop's pipeline: two datasets that arrive as files, no database, no recipes. Its contracts and a few sizes are
// all that it says; the component does the rest.
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { contractsBundle, loadAll } from "../../contracts/bundle.ts";
import { currentPlace } from "../../infra/lib/place.ts";
import { geoDatabase } from "../../infra/package/artifacts.ts";
import { wheelsAsset } from "../../infra/package/wheels.ts";
import { EtlPipeline } from "../../infra/pipeline/etl-pipeline.ts";

const contractPaths = [path.join(import.meta.dirname, "contracts")];

export default async (options: { readonly offline?: boolean } = {}): Promise<Record<string, unknown>> => {
  const shop = new EtlPipeline(`bookshop-${pulumi.getStack()}`, {
    place: currentPlace(),
    contracts: await loadAll(contractPaths),
    contractsJson: JSON.stringify(await contractsBundle(contractPaths)),
    geoDatabase: geoDatabase(),
    wheels: wheelsAsset(options.offline ?? false),
    network: { cidr: "10.60.0.0/20", endpointZones: 1 },
    jobSize: { maxWorkers: 2, flex: true },
    schedule: { expression: "rate(1 day)", timeZone: "Europe/Vienna" },
    warehouse: { baseCapacity: 4, maxCapacity: 4, monthlyRpuHours: 20 },
    monitoring: { emails: ["data@bookshop.example"], monthlyBudgetUsd: 100 },
  });
  return { drops: shop.lake.bucketNames.landing, workgroup: shop.warehouse.workgroupName };
};
