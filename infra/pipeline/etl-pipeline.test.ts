import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import * as pulumi from "@pulumi/pulumi";
import { contractsBundle, contractsDir, loadAll } from "../../contracts/bundle.ts";
import type { Contract } from "../../contracts/contract.ts";
import bookshop from "../../examples/bookshop/index.ts";
import type { Graph, GraphResource } from "../graph/offline.ts";
import { recordGraph } from "../graph/offline.ts";
import { diffText, toJson, toText } from "../graph/print.ts";
import { stackGraph } from "../graph/stack-graph.ts";
import { fileArtifact, root, sha256 } from "../package/artifacts.ts";
import {
  failureOf,
  isRecord,
  ofType,
  one,
  place,
  record,
  rightsOf,
  statementsOf,
  textsIn,
} from "../testing.ts";
import { workloadActions } from "./access.ts";
import { EtlPipeline, type EtlPipelineArgs } from "./etl-pipeline.ts";
import { rulesMessage } from "./fraud.ts";

const roleType = "aws:iam/role:Role";
const attachmentType = "aws:iam/rolePolicyAttachment:RolePolicyAttachment";
const policyTypes = new Set(["aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"]);

/** Actions that know no resource, so that `*` is the only one they can have. */
const withoutResource = new Set([
  "ec2:DescribeAvailabilityZones",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeRouteTables",
  "ec2:DescribeSecurityGroups",
  "ec2:DescribeSubnets",
  "ec2:DescribeVpcAttribute",
  "ec2:DescribeVpcEndpoints",
  "ec2:DescribeVpcs",
  "kinesis:UpdateShardCount",
  "kinesis:UpdateStreamMode",
  "logs:CreateLogDelivery",
  "logs:DeleteLogDelivery",
  "logs:DescribeLogGroups",
  "logs:DescribeResourcePolicies",
  "logs:GetLogDelivery",
  "logs:ListLogDeliveries",
  "logs:PutResourcePolicy",
  "logs:UpdateLogDelivery",
  "redshift-serverless:UpdateUsageLimit",
  "xray:PutTelemetryRecords",
  "xray:PutTraceSegments",
]);

const stateful = new Set([
  "aws:dynamodb/table:Table",
  "aws:kms/key:Key",
  "aws:redshiftserverless/namespace:Namespace",
  "aws:s3/bucket:Bucket",
]);

/** URNs of everything that has to be there before a resource is made. */
function neededBy(graph: Graph, urn: string): ReadonlySet<string> {
  const byUrn = new Map(graph.resources.map((resource) => [resource.urn, resource]));
  const found = new Set<string>();
  const open = [urn];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const needed of byUrn.get(next)?.dependencies ?? []) {
      if (found.has(needed)) continue;
      found.add(needed);
      open.push(needed);
    }
  }
  return found;
}

/** No place has a longer ARN: partition and region of this one are the longest there are, though not of one another. */
const longestPlace = { partition: "aws-us-gov", accountId: "111122223333", region: "ap-southeast-2" };

/**
 * What of a graph IAM would refuse for its size ("IAM and AWS STS quotas"): all inline policies of a role, a managed
 * policy, a trust policy, the number of managed policies of a role, a role's name.
 */
function overQuota(graph: Graph): string[] {
  const size = (...documents: unknown[]): number => documents.map(String).join("").replace(/\s/g, "").length;
  const over = (what: string, is: number, most: number): string[] =>
    is > most ? [`${what}: ${is} of ${most}`] : [];
  const known = [
    ...policyTypes,
    roleType,
    attachmentType,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
  ];
  const others = graph.resources.filter(({ type }) => type.startsWith("aws:iam/") && !known.includes(type));
  const of = (type: string, role: unknown): GraphResource[] =>
    ofType(graph, type).filter(({ inputs }) => inputs.role === role);
  return [
    ...others.map(({ urn }) => `${urn}: a type that is not counted here`),
    ...ofType(graph, roleType).flatMap(({ inputs, urn }) => [
      ...((inputs.inlinePolicies ?? inputs.managedPolicyArns)
        ? [`${urn}: policies that are not counted here`]
        : []),
      ...over(
        `inline policies of ${urn}`,
        size(...of("aws:iam/rolePolicy:RolePolicy", inputs.name).map((each) => each.inputs.policy)),
        10_240,
      ),
      ...over(`trust policy of ${urn}`, size(inputs.assumeRolePolicy), 2_048),
      ...over(`managed policies of ${urn}`, of(attachmentType, inputs.name).length, 10),
      ...over(`name of ${urn}`, String(inputs.name).length, 64),
    ]),
    ...ofType(graph, "aws:iam/policy:Policy").flatMap(({ inputs, urn }) =>
      over(urn, size(inputs.policy), 6_144),
    ),
  ];
}

describe("EtlPipeline in its stacks", () => {
  const graphs: Record<string, Graph> = {};
  const graphOf = (stack: string): Graph => {
    const graph = graphs[stack];
    if (!graph) throw new Error(`no graph of ${stack}`);
    return graph;
  };
  before(async () => {
    for (const stack of ["dev", "prod"]) graphs[stack] = await stackGraph(stack);
  });

  for (const stack of ["dev", "prod"]) {
    describe(stack, () => {
      it("knows every value: nothing undefined, no Output turned into text", () => {
        for (const { urn, inputs } of graphOf(stack).resources) {
          for (const text of textsIn(inputs)) {
            expect(text, urn).not.to.match(/\bundefined\b|\[object |Calling \[toString\]|Output<T>/);
          }
        }
      });

      it("tags whatever takes tags, with the component's name among them", () => {
        const { resources } = graphOf(stack);
        const tagged = resources.filter(({ inputs }) => isRecord(inputs.tags));
        expect(tagged.length).to.be.greaterThan(100);
        for (const { urn, inputs } of tagged) {
          expect(inputs.tags, urn).to.include({
            project: "securecart-etl",
            pipeline: `securecart-${stack}`,
            environment: stack,
          });
        }
        const provider = one(graphOf(stack), "pulumi:providers:aws", "aws").urn;
        for (const { urn, custom, type, ...resource } of resources) {
          if (custom && !type.startsWith("pulumi:")) expect(resource.provider, urn).to.equal(provider);
        }
        expect(ofType(graphOf(stack), "awsx:ec2:Vpc")[0]?.providers).to.deep.equal({ aws: provider });
      });

      it("grants no wildcard action, and `*` as a resource only where there is none or a condition", () => {
        for (const { urn, type, inputs } of graphOf(stack).resources) {
          if (!policyTypes.has(type)) continue;
          for (const { Sid, Effect, actions, resources, Condition } of statementsOf(inputs.policy)) {
            if (Effect === "Deny") continue;
            expect(
              actions.filter((action) => action.includes("*")),
              `${urn} ${Sid}`,
            ).to.deep.equal([]);
            if (!resources.includes("*") || Condition) continue;
            expect(
              actions.filter((action) => !withoutResource.has(action)),
              `${urn} ${Sid}`,
            ).to.deep.equal([]);
          }
        }
      });

      it("bounds every role but CI's, and gives none more than the boundary lets through", () => {
        const graph = graphOf(stack);
        const boundary = `arn:aws:iam::${graph.place.accountId}:policy/securecart-${stack}-boundary`;
        const policy = one(graph, "aws:iam/policy:Policy", `securecart-${stack}-boundary`);
        const withinBounds = statementsOf(policy.inputs.policy).flatMap(({ actions }) => actions);
        expect(withinBounds).to.have.members([...workloadActions, "iam:PassRole"]);
        for (const { name, inputs, propertyDependencies } of ofType(graph, roleType)) {
          if (name === `securecart-${stack}-deploy`) continue;
          expect(inputs.permissionsBoundary, name).to.equal(boundary);
          // IAM refuses a role whose boundary is not there yet.
          expect(propertyDependencies.permissionsBoundary, name).to.deep.equal([policy.urn]);
          const beyond = rightsOf(graph, name)
            .flatMap(({ actions }) => actions)
            .filter((action) => !withinBounds.includes(action));
          expect(beyond, name).to.deep.equal([]);
        }
      });

      it("keeps within IAM's quotas", () => {
        expect(overQuota(graphOf(stack))).to.deep.equal([]);
      });

      it("keeps within IAM's quotas under the longest name that a stack's file can have, in the longest place", async () => {
        const named = { "securecart-etl:name": "n".repeat(16) };
        const { accountId } = graphOf(stack).place;
        const graph = await stackGraph(stack, named, { place: { ...longestPlace, accountId } });
        expect(ofType(graph, roleType).map(({ name }) => name)).to.include(
          `${"n".repeat(16)}-${stack}-deploy`,
        );
        expect(overQuota(graph)).to.deep.equal([]);
      });

      it("has a role for each workload: no two jobs, functions or machines share one", () => {
        const graph = graphOf(stack);
        const roles = [
          ...ofType(graph, "aws:glue/job:Job").map(({ inputs }) => inputs.roleArn),
          ...ofType(graph, "aws:lambda/function:Function").map(({ inputs }) => inputs.role),
          ...ofType(graph, "aws:sfn/stateMachine:StateMachine").map(({ inputs }) => inputs.roleArn),
          ...["score", "train"].map((job) => {
            const role = one(graph, roleType, `securecart-${stack}-fraud-${job}`);
            return graph.computed[role.urn]?.arn;
          }),
        ];
        expect(roles.length).to.be.greaterThan(15);
        expect(new Set(roles).size).to.equal(roles.length);
      });

      it("migrates lake and warehouse when the contracts of the deployment are uploaded, and not before", () => {
        const graph = graphOf(stack);
        const contracts = one(graph, "aws:s3/bucketObjectv2:BucketObjectv2", `securecart-${stack}-contracts`);
        for (const each of ["migrate-lake", "migrate-warehouse"]) {
          const { urn } = one(graph, "aws:lambda/invocation:Invocation", `securecart-${stack}-${each}`);
          expect(neededBy(graph, urn).has(contracts.urn), each).to.equal(true);
        }
      });

      it("calls no function before it can reach what it calls: endpoints and the rules that open them", () => {
        const graph = graphOf(stack);
        // No function that a deployment calls reads MySQL.
        const ways = graph.resources.filter(
          ({ type, name }) =>
            /:VpcEndpoint$|:SecurityGroup(In|E)gressRule$|:Route$/.test(type) && !name.endsWith("-mysql"),
        );
        expect(ways.length).to.be.greaterThan(12);
        const calls = ofType(graph, "aws:lambda/invocation:Invocation");
        expect(calls.length).to.be.greaterThan(3);
        for (const { name, urn } of calls) {
          const needed = neededBy(graph, urn);
          expect(
            ways.filter((way) => !needed.has(way.urn)).map((way) => way.name),
            name,
          ).to.deep.equal([]);
        }
      });

      it("migrates the lake again when the code of the jobs changed", () => {
        const graph = graphOf(stack);
        const job = one(graph, "aws:glue/job:Job", `securecart-${stack}-migrate`);
        const run = one(graph, "aws:lambda/invocation:Invocation", `securecart-${stack}-migrate-lake`);
        // Script and package are named by what is in them, so that the job's settings are another with other code.
        const { command, defaultArguments } = job.inputs;
        expect(JSON.stringify([command, defaultArguments])).to.match(
          /code\/migrate-[0-9a-f]{16}\.py.*code\/securecart-[0-9a-f]{16}\.zip/s,
        );
        expect(run.inputs.triggers).to.include({
          settings: sha256(JSON.stringify([command, defaultArguments])),
        });
      });

      it("waits only for resources that are there", () => {
        const { resources } = graphOf(stack);
        const known = new Set(resources.map(({ urn }) => urn));
        for (const { urn, dependencies } of resources) {
          expect(
            dependencies.filter((dependency) => !known.has(dependency)),
            urn,
          ).to.deep.equal([]);
        }
      });

      it("lets through the endpoints whatever a role inside may do, and nothing that none may", () => {
        const graph = graphOf(stack);
        const inside = [
          ...ofType(graph, "aws:glue/job:Job").map(({ inputs }) => String(inputs.roleArn)),
          // A function outside reaches AWS over the internet.
          ...ofType(graph, "aws:lambda/function:Function")
            .filter(({ inputs }) => inputs.vpcConfig !== undefined)
            .map(({ inputs }) => String(inputs.role)),
          `securecart-${stack}-fraud-score`,
        ].map((arn) => arn.split("/").at(-1) ?? "");
        const endpointOf: Record<string, string> = { cloudwatch: "monitoring", kinesis: "kinesis-streams" };
        // Lambda itself, not the function, writes logs, sends traces and failures, and makes network interfaces.
        const outside = new Set(["ec2", "kms", "logs", "sqs"]);
        const wanted = new Map<string, Set<string>>();
        for (const [role, action] of inside.flatMap((role) =>
          rightsOf(graph, role).flatMap(({ actions }) => actions.map((action) => [role, action] as const)),
        )) {
          const service = action.split(":")[0] ?? "";
          // The fraud job sends its segments itself.
          if (outside.has(service) || (service === "xray" && !role.includes("-fraud-"))) continue;
          const endpoint = endpointOf[service] ?? service;
          wanted.set(endpoint, (wanted.get(endpoint) ?? new Set()).add(action));
        }
        const endpoints = ofType(graph, "aws:ec2/vpcEndpoint:VpcEndpoint").filter(
          ({ name }) => !name.endsWith("-logs"),
        );
        for (const { name, inputs } of endpoints) {
          const service = String(inputs.serviceName).replace("com.amazonaws.eu-central-1.", "");
          const passes = statementsOf(inputs.policy).flatMap(({ actions }) => actions);
          expect(passes, name).to.have.members([...(wanted.get(service) ?? [])]);
        }
        expect([...wanted.keys()]).to.have.members(
          endpoints.map(({ inputs }) =>
            String(inputs.serviceName).replace("com.amazonaws.eu-central-1.", ""),
          ),
        );
      });

      it("calls inside jobs and functions only endpoints that are there", () => {
        const services = ofType(graphOf(stack), "aws:ec2/vpcEndpoint:VpcEndpoint").map(({ inputs }) =>
          String(inputs.serviceName).replace("com.amazonaws.eu-central-1.", ""),
        );
        expect(services).to.have.members([
          "databrew",
          "dynamodb",
          "glue",
          "kinesis-streams",
          "logs",
          "monitoring",
          "redshift-data",
          "s3",
          "secretsmanager",
          "sns",
          "xray",
        ]);
      });
    });
  }

  it("has the same shape in dev and prod, and other sizes", () => {
    const shape = (stack: string): string[] =>
      graphOf(stack).resources.map(({ urn, name }) =>
        // People and stack names differ.
        `${urn.split("::")[2]} ${name}`
          .replaceAll(`-${stack}`, "")
          .replace(/data-?\w*@example\.com/, "<email>"),
      );
    expect(shape("dev").toSorted()).to.deep.equal(shape("prod").toSorted());
    const size = (stack: string): unknown =>
      one(graphOf(stack), "aws:glue/job:Job", `securecart-${stack}-clean`).inputs.numberOfWorkers;
    expect([size("dev"), size("prod")]).to.deep.equal([3, 20]);
  });

  it("protects and retains what holds data in prod, and lets go of it in dev only when it is empty", () => {
    const flags = (stack: string): Set<string> =>
      new Set(
        graphOf(stack)
          .resources.filter(({ type }) => stateful.has(type))
          .map(({ protect, retainOnDelete, inputs }) =>
            JSON.stringify({
              protect,
              retainOnDelete,
              force: inputs.forceDestroy ?? false,
              locked: inputs.deletionProtectionEnabled ?? protect,
            }),
          ),
      );
    expect([...flags("prod")]).to.deep.equal([
      '{"protect":true,"retainOnDelete":true,"force":false,"locked":true}',
    ]);
    expect([...flags("dev")]).to.deep.equal([
      '{"protect":false,"retainOnDelete":false,"force":false,"locked":false}',
    ]);
    for (const { urn, type, protect } of graphOf("prod").resources) {
      if (protect) expect(stateful.has(type), urn).to.equal(true);
    }
  });

  it("is the same graph again, byte by byte", async () => {
    expect(toJson(await stackGraph("prod"))).to.equal(toJson(graphOf("prod")));
  });

  it("prints tree, counts, what a plugin makes, and what is missing", () => {
    const text = toText(graphOf("prod"));
    expect(text).to.contain("Vpc securecart-prod (children made by a plugin)");
    expect(text).to.match(/s3\.Bucket securecart-prod-landing \(protected, retained\)/);
    expect(text).to.match(/\d+ resources in \d+ components/);
    expect(text).to.contain("every part of the pipeline is there: nothing waits for its file");
    const waiting = { ...graphOf("prod"), outputs: { missing: [{ part: "job x", file: "jobs/x.py" }] } };
    expect(toText(waiting)).to.contain(
      "not deployed, because the file is not there yet:\n  job x (jobs/x.py)\n",
    );
  });

  it("adds the Superstore contract's folder, table and load, and changes nothing else", async () => {
    const more = await stackGraph("dev", {
      "securecart-etl:contracts": '["contracts","examples/superstore"]',
    });
    const added = String.raw`\+triggers\.contract:superstore_orders "\w{58}…, triggers\.contracts$`;
    const expected = [
      /^~ cloudwatch\.EventRule securecart-dev-drop: \+eventPattern\.detail\.object\.key\[\] \{"prefix":"drops\/superstore_orders\/"\}$/,
      new RegExp(`^~ lambda\\.Invocation securecart-dev-migrate-lake: ${added}`),
      new RegExp(`^~ lambda\\.Invocation securecart-dev-migrate-warehouse: ${added}`),
      // The streaming job reads the bundle when it starts.
      /^~ lambda\.Invocation securecart-dev-restart-stream: triggers\.contracts$/,
      /^~ s3\.BucketObjectv2 securecart-dev-contracts: source\.asset\.sha256$/,
    ];
    const diff = diffText(graphOf("dev"), more).trim().split("\n").toSorted();
    expect(diff).to.have.length(expected.length);
    for (const [index, line] of diff.entries()) expect(line).to.match(expected[index] ?? /never/);
    expect(diffText(more, more)).to.equal("no difference\n");
  });

  it("says what a person needs next", () => {
    const { outputs } = graphOf("prod");
    expect(outputs).to.include.keys(
      "buckets",
      "workflow",
      "warehouse",
      "dashboard",
      "runs",
      "startRun",
      "dropFile",
      "missing",
    );
    expect(outputs.startRun).to.match(
      /^aws stepfunctions start-execution --region eu-central-1 --state-machine-arn arn:aws:states:/,
    );
  });

  describe("refuses, before anything is registered,", () => {
    const refusal = async (overrides: Record<string, string>, at?: Graph["place"]): Promise<string> => {
      const registered: string[] = [];
      try {
        await stackGraph("dev", overrides, {
          onRegister: (urn) => registered.push(urn),
          ...(at && { place: at }),
        });
      } catch (error) {
        expect(registered.filter((urn) => !urn.includes("pulumi:pulumi:Stack"))).to.deep.equal([]);
        return error instanceof Error ? error.message : String(error);
      }
      throw new Error("the stack was accepted");
    };
    const contractWith = (from: string | RegExp, to: string): string => {
      const folder = mkdtempSync(path.join(tmpdir(), "contracts-"));
      const text = readFileSync(path.join(root, "examples/bookshop/contracts/stock.yaml"), "utf8");
      writeFileSync(path.join(folder, "stock.yaml"), text.replace(from, to));
      return JSON.stringify([folder]);
    };

    it("an account that is not allowed", async () => {
      const message = await refusal({}, { ...place, accountId: "999999999999" });
      expect(message).to.contain("securecart-etl:allowedAccountIds").and.contain("999999999999");
    });

    it("a misspelt key and a bad CIDR, both at once", async () => {
      const message = await refusal({
        "securecart-etl:shedule": "x",
        "securecart-etl:network": '{"cidr":"10.0.0.0/28","endpointZones":1,"flowLogRetentionDays":7}',
      });
      expect(message).to.contain("did you mean 'schedule'").and.contain("10.0.0.0/28");
    });

    it("a contract that names a type the catalog lacks", async () => {
      const message = await refusal({
        "securecart-etl:contracts": contractWith("physicalType: int,", "physicalType: uuid,"),
      });
      expect(message)
        .to.contain("securecart-etl:contracts")
        .and.contain("physicalType 'uuid' is unknown; allowed: varchar");
    });

    it("a contract that names a recipe without a file", async () => {
      const contracts = contractWith(
        "- {property: maxFailedShare",
        "- {property: recipe, value: shelves}\n  - {property: maxFailedShare",
      );
      expect(await refusal({ "securecart-etl:contracts": contracts })).to.contain(
        "recipes/shelves.json does not exist",
      );
    });

    it("contracts that are not there", async () => {
      expect(await refusal({ "securecart-etl:contracts": '["nowhere"]' })).to.contain(
        "nowhere cannot be read",
      );
    });

    it("a partner's dataset that does not come as files", async () => {
      const partner = (dataset: string): string =>
        JSON.stringify({
          url: "https://partner.example.com",
          dataset,
          tokenSecretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:token",
          schedule: { expression: "rate(1 hour)", timeZone: "UTC", enabled: true },
        });
      const message = await refusal({ "securecart-etl:partner": partner("clickstream_events") });
      expect(message)
        .to.contain('securecart-etl:partner.dataset is "clickstream_events"')
        .and.match(/allowed: a contract whose source is csv: .*campaigns/);
    });

    it("an adopted DynamoDB table that no contract reads", async () => {
      const message = await refusal({
        "securecart-etl:dynamodb": '{"recoveryDays":7,"adopt":{"ordres":"mobile"}}',
      });
      expect(message).to.contain("dynamodb.adopt.ordres").and.contain("orders");
    });

    it("a stack without a file", async () => {
      expect((await failureOf(() => stackGraph("nope"))).message).to.contain("the stacks are dev, prod");
    });
  });
});

describe("EtlPipeline as a component", () => {
  let contracts: Contract[];
  let contractsJson: string;
  before(async () => {
    contracts = await loadAll([contractsDir]);
    contractsJson = JSON.stringify(await contractsBundle([contractsDir]));
  });
  const fraudEnvironment = { name: "emr.tar.gz", asset: new pulumi.asset.StringAsset("packages") };
  const geoDatabase = fileArtifact(import.meta.filename);
  const args = (more: Partial<EtlPipelineArgs> = {}): EtlPipelineArgs => ({
    place,
    contracts,
    contractsJson,
    geoDatabase,
    wheels: { name: "wheels.zip", asset: new pulumi.asset.StringAsset("wheels") },
    fraudEnvironment,
    schedule: { expression: "rate(1 day)" },
    monitoring: { monthlyBudgetUsd: 100 },
    ...more,
  });

  /** Every argument with a value that occurs nowhere else. */
  const everything = (more: Partial<EtlPipelineArgs> = {}): EtlPipelineArgs =>
    args({
      place: { partition: "aws", accountId: "111122223333", region: "eu-south-2" },
      contractsJson: '{"mark":"contracts-json"}',
      recipes: [{ dataset: "recipe-mark", recipe: "r", stepsJson: "[]" }],
      wheels: { name: "wheels-mark.zip", asset: new pulumi.asset.StringAsset("wheels") },
      mysql: {
        host: "host-mark.example.com",
        port: 3399,
        database: "database_mark",
        secretArn: "arn:aws:secretsmanager:eu-south-2:111122223333:secret:secret-mark",
        secretKeyArn: "arn:aws:kms:eu-south-2:111122223333:key/secret-key-mark",
        cidr: "10.101.0.0/16",
      },
      secretsLayerArn: "arn:aws:lambda:eu-south-2:1:layer:layer-mark:1",
      dynamodb: { recoveryDays: 31 },
      lakeRetention: {
        landingDays: 1001,
        quarantineDays: 1002,
        exportDays: 1003,
        logDays: 1004,
        noncurrentDays: 1005,
      },
      jobSize: {
        workerType: "worker-mark",
        maxWorkers: 1006,
        timeoutMinutes: 1007,
        slowAfterMinutes: 1008,
        flex: true,
      },
      stream: {
        keepRunning: false,
        capacity: 1019,
        retentionHours: 1020,
        workerType: "stream-worker-mark",
        maxWorkers: 1021,
        maintenanceWindow: "window-mark",
      },
      fraud: {
        maxVcpus: 1025,
        maxMemoryGb: 1026,
        idleMinutes: 1027,
        slowAfterMinutes: 1028,
        reviewers: ["reviewer-mark@example.com"],
      },
      fraudEnvironment: { name: "environment-mark.tar.gz", asset: new pulumi.asset.StringAsset("packages") },
      ingestion: {
        producers: ["arn:aws:iam::111122223333:role/producer-mark"],
        requestsPerSecond: 1022,
        burst: 1023,
        hashKeySecretArn: "arn:aws:secretsmanager:eu-south-2:111122223333:secret:hash-mark",
        hashKeySecretKeyArn: "arn:aws:kms:eu-south-2:111122223333:key/hash-key-mark",
        webAclArn: "acl-mark",
      },
      partner: {
        url: "https://partner-mark.example.com",
        dataset: "campaigns",
        tokenSecretArn: "arn:aws:secretsmanager:eu-south-2:111122223333:secret:token-mark",
        tokenSecretKeyArn: "arn:aws:kms:eu-south-2:111122223333:key/token-key-mark",
        begin: "begin-mark",
        overlapMinutes: 1029,
        schedule: { expression: "pull-expression-mark", timeZone: "pull-zone-mark", enabled: false },
      },
      functions: { memoryMegabytes: 1009, reservedConcurrency: 1010 },
      schedule: { expression: "expression-mark", timeZone: "zone-mark", enabled: false },
      slowRunMinutes: 1011,
      warehouse: {
        baseCapacity: 1012,
        maxCapacity: 1013,
        monthlyRpuHours: 1014,
        atLimit: "limit-mark",
        maxQuerySeconds: 1015,
        biPrincipals: ["arn:aws:iam::111122223333:role/bi-mark"],
      },
      monitoring: { emails: ["mail-mark@example.com"], monthlyBudgetUsd: 1016, streamLagMinutes: 1024 },
      logRetentionDays: 1017,
      safety: { protect: false, destroyData: true },
      accountBaseline: "create",
      deploy: { repository: "repository/mark", environment: "environment-mark" },
      transform: {
        encryption: { key: { description: "key-mark" } },
        lake: { bucket: { bucketPrefix: "bucket-mark" }, lifecycle: { expectedBucketOwner: "owner-mark" } },
        network: { vpc: { instanceTenancy: "tenancy-mark" }, endpoint: { ipAddressType: "address-mark" } },
        catalog: { database: { description: "database-mark" }, table: { owner: "table-mark" } },
        sources: {
          table: { tableClass: "class-mark" },
          connection: { description: "connection-mark" },
          stream: { enforceConsumerDeletion: true },
        },
        batch: { job: { description: "job-mark" } },
        fraud: { application: { releaseLabel: "release-mark" } },
        functions: { function: { description: "function-mark" } },
        ingestion: { mapping: { startingPosition: "position-mark" } },
        restApi: { stage: { documentationVersion: "stage-mark" } },
        lowCode: { stack: { policyBody: "stack-mark" } },
        warehouse: { namespace: { adminUsername: "admin-mark" }, workgroup: { trackName: "track-mark" } },
        workflow: { machine: { type: "machine-mark" } },
        monitoring: { alarm: { unit: "alarm-mark" } },
      },
      ...more,
    });

  it("can stand twice in one program: the two share no name and no role", async () => {
    const graph = await record(() => {
      new EtlPipeline("one", args());
      new EtlPipeline("two", args());
    });
    const nameKeys = ["bucket", "namespaceName", "workgroupName", "dashboardName", "name"] as const;
    const naming = (resource: GraphResource): string | undefined => {
      const key = nameKeys.find((candidate) => typeof resource.inputs[candidate] === "string");
      return key && `${resource.type} ${String(resource.inputs[key])}`;
    };
    const belongs = (resource: GraphResource, to: string): boolean =>
      resource.name === to || resource.name.startsWith(`${to}-`);
    // Inline policies and tables are named within their role, bucket or database.
    const own = graph.resources.filter(
      ({ type, custom }) => custom && !/rolePolicy|catalogTable|bucket[A-Z]/.test(type),
    );
    const names = (to: string): string[] =>
      own.filter((each) => belongs(each, to)).flatMap((each) => naming(each) ?? []);
    expect(names("one").length).to.be.greaterThan(100);
    expect(names("one").filter((name) => names("two").includes(name))).to.deep.equal([]);
    expect(new Set(names("one")).size, "no name twice within one").to.equal(names("one").length);
    const arns = (to: string): string[] =>
      ofType(graph, roleType)
        .filter((each) => belongs(each, to))
        .map(({ urn }) => String(graph.computed[urn]?.arn));
    expect(arns("one").filter((arn) => arns("two").includes(arn))).to.deep.equal([]);
    for (const resource of graph.resources.filter((each) => belongs(each, "one"))) {
      expect(
        textsIn(resource.inputs).filter((text) => /\btwo-/.test(text)),
        resource.urn,
      ).to.deep.equal([]);
    }
  });

  it("builds ARNs for any partition", async () => {
    const china = { partition: "aws-cn", accountId: "111122223333", region: "cn-north-1" };
    const graph = await record(() => new EtlPipeline("shop", args({ place: china })), china);
    const wrong = graph.resources.flatMap(({ urn, inputs }) =>
      textsIn(inputs).flatMap((text) => (/arn:aws:/.test(text) ? [`${urn}: ${text.slice(0, 80)}`] : [])),
    );
    expect(wrong).to.deep.equal([]);
  });

  it("keeps within IAM's quotas with everything switched on, under the longest name and in the longest place", async () => {
    const name = "n".repeat(24);
    const long = everything({ place: longestPlace });
    const graph = await record(() => new EtlPipeline(name, long), longestPlace);
    expect(overQuota(graph)).to.deep.equal([]);
    // What is measured is there: the same graph breaks each of the quotas when its documents are longer.
    const grown = graph.resources.map((resource) => {
      const inputs = Object.entries(resource.inputs).map(([key, value]) =>
        /^(policy|assumeRolePolicy)$/.test(key)
          ? [key, `${String(value)}${"x".repeat(10_240)}`]
          : [key, value],
      );
      return { ...resource, inputs: Object.fromEntries(inputs) as Record<string, unknown> };
    });
    const broken = overQuota({ ...graph, resources: grown });
    for (const which of ["inline policies of", "trust policy of", "-deploy-storage", "-boundary"]) {
      expect(broken.join("\n"), which).to.contain(which);
    }
  });

  it("lets every argument reach a child", async () => {
    // Every one of the values has to turn up in some resource's inputs.
    const base = everything();
    const created = {
      cidr: "10.77.0.0/16",
      peering: { vpcId: "vpc-peer-mark", cidr: "10.102.0.0/16" },
      flowLogRetentionDays: 1018,
    };
    const adopt = {
      vpcId: "vpc-mark",
      subnetIds: ["subnet-mark", "subnet-2", "subnet-3"],
      routeTableIds: ["table-mark"],
    };
    const inputsOf = async (more: Partial<EtlPipelineArgs>): Promise<string> => {
      const graph = await record(() => new EtlPipeline("shop", { ...base, ...more }));
      return JSON.stringify(graph.resources.map(({ inputs }) => inputs));
    };
    const first = await inputsOf({ network: created });
    const second = await inputsOf({
      network: { adopt, endpointZones: 0 },
      dynamodb: { adoptTables: { orders: "table-adopted-mark" } },
    });
    const marks = [
      ...new Set(
        JSON.stringify([
          {
            ...base,
            contracts: [],
            contractsJson: "",
            safety: {},
            wheels: base.wheels.name,
            fraudEnvironment: "environment-mark.tar.gz",
          },
          created,
        ]).match(/[\w./@:-]*mark[\w./@-]*|\b10[012]\d\b|10\.\d+\.0\.0\/16/g),
      ),
    ];
    expect(marks.length).to.be.greaterThan(50);
    const inMilliseconds = ["1011", "1024"];
    const converted = [...inMilliseconds, "1028"];
    expect(marks.filter((mark) => !first.includes(mark) && !converted.includes(mark))).to.deep.equal([]);
    expect(first, "fraud.slowAfterMinutes, in periods of five").to.contain(
      `"evaluationPeriods":${Math.ceil(1028 / 5)}`,
    );
    for (const mark of inMilliseconds) expect(first).to.contain(String(Number(mark) * 60_000));
    expect(first, "stream.keepRunning").to.contain(String.raw`\"start\":false`);
    expect(first, "transform.sources.stream").to.contain('"enforceConsumerDeletion":true');
    expect(first, "contractsJson, by its hash").to.contain(sha256(base.contractsJson));
    expect(first, "geoDatabase, by its hash").to.contain(geoDatabase.sha256.slice(0, 16));
    expect(first, "contracts: their tables").to.contain('"hashKey":"orderId"');
    for (const [argument, value] of [
      ["jobSize.flex", "FLEX"],
      ["schedule.enabled", "DISABLED"],
      ["accountBaseline", "https://token.actions"],
      ["place", "eu-south-2"],
    ]) {
      expect(first, argument).to.contain(value);
    }
    expect(first, "safety")
      .to.contain('"forceDestroy":true')
      .and.not.contain('"deletionProtectionEnabled":true');
    for (const mark of ["vpc-mark", "subnet-mark", "table-mark", "table-adopted-mark"])
      expect(second).to.contain(mark);
    expect(second, "network.endpointZones").not.to.contain('"Interface"');
    const third = await inputsOf({ network: created, stream: { enabled: false } });
    expect(third, "stream.enabled").not.to.match(/gluestreaming|ON_DEMAND|PROVISIONED|execute-api/);
    // Every argument of the component has its value above.
    const source = readFileSync(path.join(import.meta.dirname, "etl-pipeline.ts"), "utf8");
    const [, body = ""] = /export interface EtlPipelineArgs \{\n(.*?)\n\}\n/s.exec(source) ?? [];
    const declared = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, argument]) => String(argument));
    expect(declared.length).to.be.greaterThan(15);
    expect(
      declared.filter((argument) => argument !== "network" && !Object.hasOwn(base, argument)),
    ).to.deep.equal([]);
  });

  it("pulls from a partner only into a dataset that is there, and outside the VPC nothing else runs", async () => {
    const partner = {
      url: "https://partner.example.com",
      dataset: "campains",
      tokenSecretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:token",
      schedule: { expression: "rate(1 hour)" },
    };
    const layer = { secretsLayerArn: "arn:aws:lambda:eu-central-1:1:layer:l:1" };
    const misspelt = await failureOf(() => new EtlPipeline("shop", args({ partner, ...layer })));
    expect(misspelt.message).to.contain("'partner.dataset' names 'campains', which is no contract");
    const right = { ...partner, dataset: "campaigns" };
    const bare = await failureOf(() => new EtlPipeline("shop", args({ partner: right })));
    expect(bare.message).to.contain("'partner' needs 'secretsLayerArn'");
    const graph = await record(() => new EtlPipeline("shop", args({ partner: right, ...layer })));
    const outside = ofType(graph, "aws:lambda/function:Function").filter(
      ({ inputs }) => inputs.vpcConfig === undefined,
    );
    expect(outside.map(({ name }) => name)).to.deep.equal(["shop-partner-pull"]);
  });

  it("raises an alarm when the log of the application says that rules score in the model's place", async () => {
    const graph = await record(() => new EtlPipeline("shop", args()));
    const application = one(graph, "aws:emrserverless/application:Application", "shop-fraud").inputs;
    const filter = one(graph, "aws:cloudwatch/logMetricFilter:LogMetricFilter", "shop-fraud-rules").inputs;
    expect(filter.pattern).to.equal(`"${rulesMessage}"`);
    expect(application.monitoringConfiguration).to.have.nested.property(
      "cloudwatchLoggingConfiguration.logGroupName",
      filter.logGroupName,
    );
    expect(one(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", "shop-fraud-rules").inputs).to.include({
      metricName: "shop-fraud-rules",
    });
  });

  it("scores only where contracts have scores, and then needs the packages of the jobs", async () => {
    const { fraudEnvironment: _, ...without } = args();
    const error = await failureOf(() => new EtlPipeline("shop", without));
    expect(error.message).to.contain("'npm run package' builds them");
    const fewer = contracts.filter((contract) => contract.name !== "fraud_scores");
    const graph = await record(() => new EtlPipeline("shop", { ...without, contracts: fewer }));
    expect(ofType(graph, "aws:emrserverless/application:Application")).to.deep.equal([]);
    expect(ofType(graph, "aws:cloudwatch/logMetricFilter:LogMetricFilter")).to.deep.equal([]);
    expect(one(graph, "aws:sfn/stateMachine:StateMachine", "shop").inputs.definition).not.to.contain(
      "ScoreFraud",
    );
  });

  it("refuses a name that buckets could not carry", async () => {
    for (const name of ["Shop", "s", "shop_dev", "-shop", "shop-", "a".repeat(25)]) {
      const error = await failureOf(() => new EtlPipeline(name, args()));
      expect(error.message, name).to.contain("cannot name an EtlPipeline");
    }
  });

  it("serves another company: two datasets from files, no database, no recipe", async () => {
    const graph = await recordGraph(() => bookshop({ offline: true }), {
      project: "bookshop",
      stack: "dev",
      place,
    });
    expect(graph.outputs).to.deep.equal({
      drops: "bookshop-dev-landing-111122223333-eu-central-1",
      workgroup: "bookshop-dev",
    });
    const types = new Set(graph.resources.map(({ type }) => type));
    for (const absent of [
      "aws:cloudformation/stack:Stack",
      "aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
    ]) {
      expect(types.has(absent), absent).to.equal(false);
    }
    expect(ofType(graph, "aws:glue/job:Job").map(({ name }) => name)).not.to.include(
      "bookshop-dev-extract-mysql",
    );
    expect(ofType(graph, "aws:dynamodb/table:Table").map(({ name }) => name)).to.deep.equal([
      "bookshop-dev-ledger",
    ]);
    expect(ofType(graph, "aws:ec2/vpcEndpoint:VpcEndpoint").map(({ name }) => name)).not.to.include.members([
      "bookshop-dev-secretsmanager",
      "bookshop-dev-databrew",
    ]);
    expect(ofType(graph, "aws:sfn/stateMachine:StateMachine")).to.have.length(1);
  });
});
