import { expect } from "chai";
import { ConfigError, readConfig } from "./config.ts";
import { readStackFile, stackNames } from "./graph/stack-file.ts";

const namespace = "securecart-etl";
const base = readStackFile("dev");

/** Problems of the dev stack with some keys replaced; undefined removes a key. */
function problemsWith(changes: Record<string, unknown>) {
  const all: Record<string, string> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const full = key.includes(":") ? key : `${namespace}:${key}`;
    if (value === undefined) delete all[full];
    else all[full] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return readConfig(all, namespace).problems;
}

const group = (key: string, changes: Record<string, unknown>): Record<string, unknown> => ({
  [key]: { ...(JSON.parse(base[`${namespace}:${key}`] ?? "{}") as object), ...changes },
});

describe("stack configuration", () => {
  for (const stack of stackNames()) {
    it(`accepts ${stack}`, () => {
      expect(readConfig(readStackFile(stack), namespace).problems).to.deep.equal([]);
    });
  }

  const bad: [string, Record<string, unknown>, string, RegExp, RegExp][] = [
    ["a missing key", { environment: undefined }, "environment", /dev, prod/, /config set/],
    [
      "a missing key of a group",
      group("lake", { logDays: undefined }),
      "lake.logDays",
      /1 to 3653/,
      /config set/,
    ],
    ["a misspelt key", { shedule: { enabled: true } }, "shedule", /schedule/, /did you mean 'schedule'/],
    [
      "a misspelt key of a group",
      group("batch", { maxWorker: 3 }),
      "batch.maxWorker",
      /maxWorkers/,
      /did you mean 'maxWorkers'/,
    ],
    ["a key of no likeness", { zzzzzzzzzzzz: "1" }, "zzzzzzzzzzzz", /environment/, /config rm/],
    [
      "text for a number",
      group("batch", { maxWorkers: "three" }),
      "batch.maxWorkers",
      /whole number of workers/,
      /config set/,
    ],
    [
      "a number out of range",
      group("batch", { maxWorkers: 51 }),
      "batch.maxWorkers",
      /from 2 to 50/,
      /config set/,
    ],
    [
      "a number below its range",
      group("network", { endpointZones: -1 }),
      "network.endpointZones",
      /from 0 to 3/,
      /config set/,
    ],
    [
      "more tags than an object in S3 takes",
      { tags: Object.fromEntries(["a", "b", "c", "d", "e", "f", "g"].map((key) => [key, "x"])) },
      "tags",
      /at most six/,
      /config set/,
    ],
    [
      "a tag's value that S3 refuses",
      { tags: { owner: "data & co" } },
      "tags.owner",
      /digits, spaces/,
      /config set/,
    ],
    [
      "a tag that AWS keeps for itself",
      { tags: { "aws:owner": "x" } },
      "tags.aws:owner",
      /no aws: before it/,
      /config set/,
    ],
    ["text for a switch", { protectData: "maybe" }, "protectData", /true or false/, /config set/],
    [
      "a retention that CloudWatch lacks",
      group("monitoring", { logRetentionDays: 15 }),
      "monitoring.logRetentionDays",
      /14, 30/,
      /config set/,
    ],
    [
      "an account id that is none",
      { allowedAccountIds: ["123"] },
      "allowedAccountIds[0]",
      /twelve digits/,
      /config set/,
    ],
    [
      "a time zone that is none",
      group("schedule", { timeZone: "Europe/Berlyn" }),
      "schedule.timeZone",
      /IANA/,
      /config set/,
    ],
    [
      "a CIDR too small for three zones",
      group("network", { cidr: "10.20.0.0/26" }),
      "network.cidr",
      /\/16 to \/23.*three zones/,
      /config set/,
    ],
    [
      "a CIDR off its boundary",
      group("network", { cidr: "10.20.1.0/16" }),
      "network.cidr",
      /boundary/,
      /config set/,
    ],
    ["a public CIDR", group("network", { cidr: "8.8.0.0/16" }), "network.cidr", /private/, /config set/],
    [
      "a CIDR that overlaps the peer's",
      group("network", { cidr: "10.100.0.0/20" }),
      "network.cidr",
      /not overlap/,
      /config set/,
    ],
    [
      "a new and an adopted VPC",
      group("network", {
        adopt: {
          vpcId: "vpc-0a1b2c3d",
          subnetIds: ["subnet-0a1b2c3d", "subnet-1a1b2c3d", "subnet-2a1b2c3d"],
          routeTableIds: ["rtb-0a1b2c3d"],
        },
      }),
      "network",
      /either cidr/,
      /remove one/,
    ],
    ["no VPC", group("network", { cidr: undefined }), "network.cidr", /network\.adopt/, /config set/],
    [
      "a MySQL that cannot be reached",
      group("network", { peering: undefined }),
      "mysql.host",
      /adopt or network\.peering/,
      /peering\.vpcId/,
    ],
    [
      "a MySQL secret of another region",
      group("mysql", { secretArn: "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop-AbCdEf" }),
      "mysql.secretArn",
      /in eu-central-1/,
      /replicate-secret-to-regions/,
    ],
    [
      "no layer to read the secret through",
      group("functions", { secretsLayerArn: undefined }),
      "functions.secretsLayerArn",
      /layer/,
      /documentation/,
    ],
    [
      "a region that is not allowed",
      { "aws:region": "us-east-1" },
      "aws:region",
      /eu-central-1/,
      /after a review/,
    ],
    ["no region", { "aws:region": undefined }, "aws:region", /eu-central-1/, /config set aws:region/],
    [
      "a slow mark after the end",
      group("batch", { slowAfterMinutes: 60 }),
      "batch.slowAfterMinutes",
      /fewer minutes/,
      /config set/,
    ],
    [
      "an application without room for an executor",
      group("fraud", { maxVcpus: 4 }),
      "fraud.maxVcpus",
      /vCPU from 8 to 400/,
      /config set/,
    ],
    [
      "processors without memory",
      group("fraud", { maxVcpus: 32 }),
      "fraud.maxMemoryGb",
      /at least 4 GB for each of fraud.maxVcpus \(128\)/,
      /config set/,
    ],
    [
      "a reviewer who is no mail address",
      group("fraud", { reviewers: ["fraud team"] }),
      "fraud.reviewers[0]",
      /mail address|list|email/i,
      /config set/,
    ],
    [
      "a partner's API without TLS",
      group("partner", { url: "http://api.partner.example.com" }),
      "partner.url",
      /an https address/,
      /config set/,
    ],
    [
      "a partner's first window that is no time",
      group("partner", { begin: "yesterday" }),
      "partner.begin",
      /a time in UTC/,
      /config set/,
    ],
    [
      "a partner's token in another region",
      group("partner", { tokenSecretArn: "arn:aws:secretsmanager:us-east-1:111122223333:secret:t" }),
      "partner.tokenSecretArn",
      /a secret in eu-central-1/,
      /replicate/,
    ],
    [
      "a warehouse whose most is less than its base",
      group("warehouse", { maxCapacity: 4 }),
      "warehouse.maxCapacity",
      /at least/,
      /config set/,
    ],
    [
      "data to be destroyed while it is protected",
      { protectData: true, destroyDataOf: "securecart-dev" },
      "destroyDataOf",
      /not set while protectData/,
      /protectData/,
    ],
    [
      "another component's data to be destroyed",
      { destroyDataOf: "securecart-prod" },
      "destroyDataOf",
      /'securecart-dev'/,
      /config set/,
    ],
  ];
  for (const [what, changes, key, allowed, remedy] of bad) {
    it(`refuses ${what}`, () => {
      const found = problemsWith(changes).filter(
        (problem) => problem.key.replace(`${namespace}:`, "") === key,
      );
      expect(found, `a problem with ${key}`).to.have.length(1);
      expect(found[0]?.allowed).to.match(allowed);
      expect(found[0]?.remedy).to.match(remedy);
    });
  }

  it("says all problems at once, those between groups too when one group is wrong", () => {
    const problems = problemsWith({
      environment: "test",
      ...group("batch", { maxWorkers: 0 }),
      ...group("mysql", { secretArn: "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop-AbCdEf" }),
      "aws:region": "eu-west-1",
    });
    expect(problems.map((problem) => problem.key)).to.include.members([
      "securecart-etl:environment",
      "securecart-etl:batch.maxWorkers",
      "securecart-etl:mysql.secretArn",
      "aws:region",
    ]);
  });

  it("says two problems of one group at once", () => {
    const problems = problemsWith(group("network", { cidr: "10.0.0.0/28", endpointZones: 4 }));
    expect(problems.map((problem) => problem.key)).to.have.members([
      "securecart-etl:network.cidr",
      "securecart-etl:network.endpointZones",
    ]);
  });

  it("prints key, value, allowed and remedy", () => {
    const error = new ConfigError("dev", problemsWith({ environment: "test" }));
    expect(error.message).to.contain('securecart-etl:environment is "test"');
    expect(error.message).to.contain("allowed: one of dev, prod");
    expect(error.message).to.contain(
      "remedy:  pulumi config set --path 'securecart-etl:environment' <value>",
    );
    expect(error.message).to.contain("one problem");
    expect(error.message).to.contain("nothing was deployed");
  });

  it("lets data go only when both settings say so", () => {
    expect(problemsWith({ protectData: false, destroyDataOf: "securecart-dev" })).to.deep.equal([]);
  });
});
