import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { contractsBundle, loadAll } from "../contracts/bundle.ts";
import { type Contract, ContractError } from "../contracts/contract.ts";
import { ConfigError, componentName, type Problem, readConfig, type StackConfig } from "./config.ts";
import { given } from "./lib/given.ts";
import type { Place } from "./lib/place.ts";
import { geoDatabase, root } from "./package/artifacts.ts";
import { environmentAsset } from "./package/environment.ts";
import { wheelsAsset } from "./package/wheels.ts";
import { EtlPipeline } from "./pipeline/etl-pipeline.ts";
import type { RecipeDataset } from "./pipeline/low-code.ts";

/** The name of this project, and the namespace of its configuration. */
export const project = "securecart-etl";

export interface ProgramOptions {
  /** Nothing is uploaded: what `npm run package` builds need not be there. @default false */
  readonly offline?: boolean;
}

/** Contracts and what is wrong with them, as problems of the stack's configuration. */
async function loadContracts(
  paths: readonly string[],
): Promise<{ contracts: Contract[]; problems: Problem[] }> {
  const absolute = paths.map((entry) => path.resolve(root, entry));
  try {
    return { contracts: await loadAll(absolute), problems: [] };
  } catch (error) {
    const key = `${project}:contracts`;
    const found =
      error instanceof ContractError
        ? error.problems
        : [error instanceof Error ? error.message : String(error)];
    return {
      contracts: [],
      problems: found.map((problem) => ({
        key,
        value: paths,
        allowed: "contracts that are valid, alone and together",
        remedy: problem.replaceAll(`${root}${path.sep}`, ""),
      })),
    };
  }
}

/** The recipes that contracts name, and those whose file is missing or no list of steps. */
function loadRecipes(contracts: readonly Contract[]): { recipes: RecipeDataset[]; problems: Problem[] } {
  const recipes: RecipeDataset[] = [];
  const problems: Problem[] = [];
  for (const { name, recipe, file } of contracts) {
    if (recipe === undefined) continue;
    const steps = path.join(root, "recipes", `${recipe}.json`);
    const stepsJson = existsSync(steps) ? readFileSync(steps, "utf8") : undefined;
    if (stepsJson !== undefined && isSteps(stepsJson)) recipes.push({ dataset: name, recipe, stepsJson });
    else {
      problems.push({
        key: path.relative(root, file),
        value: recipe,
        allowed: `the name of a file in recipes/ with a list of DataBrew steps (recipes/${recipe}.json ${stepsJson === undefined ? "does not exist" : "is none"})`,
        remedy: "write the recipe, or remove the contract's custom property 'recipe'",
      });
    }
  }
  return { recipes, problems };
}

function isSteps(text: string): boolean {
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}

/** Problems between contracts and configuration: a source that nothing is configured for. */
function checkSources(contracts: readonly Contract[], config: StackConfig | undefined): Problem[] {
  if (!config) return [];
  const problems: Problem[] = [];
  const known = new Set(
    contracts.flatMap(({ source }) => (source?.kind === "dynamodb" ? [source.table] : [])),
  );
  for (const table of Object.keys(config.dynamodb.adopt)) {
    if (known.has(table)) continue;
    problems.push({
      key: `${project}:dynamodb.adopt.${table}`,
      value: config.dynamodb.adopt[table],
      allowed: `a source table of a contract: ${[...known].toSorted().join(", ") || "there is none"}`,
      remedy: `pulumi config rm --path '${project}:dynamodb.adopt.${table}'`,
    });
  }
  return problems;
}

/** Problems between contracts and the partner's dataset, which has to come as files. */
function checkPartner(contracts: readonly Contract[], config: StackConfig | undefined): Problem[] {
  const dataset = config?.partner?.dataset;
  if (dataset === undefined) return [];
  const files = contracts.filter(({ source }) => source?.kind === "csv").map(({ name }) => name);
  if (files.includes(dataset)) return [];
  const key = `${project}:partner.dataset`;
  return [
    {
      key,
      value: dataset,
      allowed: `a contract whose source is csv: ${files.toSorted().join(", ") || "there is none"}`,
      remedy: `pulumi config set --path '${key}' <dataset>, or write its contract`,
    },
  ];
}

/** The account and region that the credentials lead to. */
async function currentAccount(): Promise<Place> {
  const [{ partition }, { accountId }, { region }] = await Promise.all([
    aws.getPartition({}),
    aws.getCallerIdentity({}),
    aws.getRegion({}),
  ]);
  return { partition, accountId, region };
}

function checkPlace(place: Place, config: StackConfig): Problem[] {
  return config.allowedAccountIds.includes(place.accountId)
    ? []
    : [
        {
          key: `${project}:allowedAccountIds`,
          value: config.allowedAccountIds,
          allowed: `an account that the stack may be deployed to; the credentials lead to ${place.accountId}`,
          remedy:
            "use credentials of an allowed account, or add this one to allowedAccountIds after a review",
        },
      ];
}

/**
 * Deploys a stack: reads and checks everything first, and registers nothing before all is well.
 *
 * @returns the stack's outputs: what a person needs next
 * @throws RunError that lists every problem with its key, what is allowed, and the remedy
 */
export async function deploy(options: ProgramOptions = {}): Promise<Record<string, unknown>> {
  const stack = pulumi.getStack();
  const { config, problems } = readConfig(pulumi.runtime.allConfig(), project);
  const { contracts, problems: contractProblems } = await loadContracts(config?.contracts ?? ["contracts"]);
  const { recipes, problems: recipeProblems } = loadRecipes(contracts);
  const all = [
    ...problems,
    ...contractProblems,
    ...recipeProblems,
    ...checkSources(contracts, config),
    ...checkPartner(contracts, config),
  ];
  if (!config || all.length > 0) throw new pulumi.RunError(new ConfigError(stack, all).message);
  const wheels = wheelsAsset(options.offline ?? false);
  const environment = environmentAsset(options.offline ?? false);
  const place = await currentAccount();
  const wrongPlace = checkPlace(place, config);
  if (wrongPlace.length > 0) throw new pulumi.RunError(new ConfigError(stack, wrongPlace).message);

  const name = componentName(config);
  const provider = createProvider(name, config, place);
  const bundle = await contractsBundle(config.contracts.map((entry) => path.resolve(root, entry)));
  const pipeline = new EtlPipeline(
    name,
    {
      place,
      contracts,
      contractsJson: JSON.stringify(bundle),
      recipes,
      geoDatabase: geoDatabase(),
      wheels,
      network: {
        ...config.network,
        ...given({ adopt: config.network.adopt, peering: config.network.peering }),
      },
      mysql: config.mysql,
      secretsLayerArn: config.functions.secretsLayerArn,
      dynamodb: { adoptTables: config.dynamodb.adopt, recoveryDays: config.dynamodb.recoveryDays },
      lakeRetention: config.lake,
      jobSize: config.batch,
      stream: config.stream,
      fraud: config.fraud,
      fraudEnvironment: environment,
      ingestion: config.ingestion,
      partner: config.partner,
      functions: {
        memoryMegabytes: config.functions.memoryMegabytes,
        reservedConcurrency: config.functions.reservedConcurrency,
      },
      schedule: config.schedule,
      slowRunMinutes: config.workflow.slowAfterMinutes,
      warehouse: config.warehouse,
      monitoring: {
        emails: config.monitoring.emails,
        monthlyBudgetUsd: config.monitoring.monthlyBudgetUsd,
        streamLagMinutes: config.stream.lagMinutes,
      },
      logRetentionDays: config.monitoring.logRetentionDays,
      safety: { protect: config.protectData, destroyData: config.destroyDataOf === name },
      accountBaseline: config.accountBaseline,
      deploy: config.deploy && {
        repository: config.deploy.repository,
        environment: config.deploy.githubEnvironment,
        provider: config.deploy.provider,
      },
    },
    { providers: { aws: provider } },
  );
  return outputsOf(pipeline, place);
}

/**
 * One provider for all, so that default tags reach every resource, those of awsx too. It takes what the stack's file
 * says of the provider (`aws:profile`, `aws:endpoints` of an emulator, …), which only a default provider does by itself:
 * without that it would lead to another account than the one that was looked at.
 */
function createProvider(name: string, config: StackConfig, place: Place): aws.Provider {
  return new aws.Provider("aws", {
    ...given({ ...aws.config }),
    region: place.region as aws.Region,
    allowedAccountIds: config.allowedAccountIds,
    defaultTags: {
      tags: {
        ...config.tags,
        project,
        pipeline: name,
        environment: config.environment,
        "managed-by": "pulumi",
      },
    },
  });
}

/** What a person needs next. */
function outputsOf(pipeline: EtlPipeline, { region }: Place): Record<string, unknown> {
  const { lake, workflow, warehouse, monitoring, missing } = pipeline;
  const console_ = `https://${region}.console.aws.amazon.com`;
  return {
    buckets: lake.bucketNames,
    databases: pipeline.catalog.databaseNames,
    ledgerTable: pipeline.ledger.table.name,
    warehouse: {
      workgroup: warehouse.workgroupName,
      database: "warehouse",
      ...(warehouse.biRole && { biRole: warehouse.biRole.arn }),
    },
    ...(pipeline.fraud && { trainFraud: pipeline.fraud.trainCommand }),
    ...(pipeline.restApi && { events: pulumi.interpolate`${pipeline.restApi.url}/events` }),
    dashboard: `${console_}/cloudwatch/home?region=${region}#dashboards/dashboard/${monitoring.dashboardName}`,
    ...(workflow && {
      workflow: workflow.arn,
      runs: pulumi.interpolate`${console_}/states/home?region=${region}#/statemachines/view/${workflow.arn}`,
      startRun: pulumi.interpolate`aws stepfunctions start-execution --region ${region} --state-machine-arn ${workflow.arn} --input '{}'`,
      dropFile: pulumi.interpolate`aws s3 cp <file> s3://${lake.bucketNames.landing}/drops/<dataset>/`,
    }),
    missing,
  };
}
