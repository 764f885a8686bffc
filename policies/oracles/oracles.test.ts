/**
 * Two tools of others over the production stack. What they find is either explained here, one by one, or a rule is
 * missing. What this does not prove: that they read everything; each says how much it read, and finds planted faults.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { stackGraph } from "../../infra/graph/stack-graph.ts";
import type { Resource } from "../rule.ts";
import { terraformPlan } from "./render.ts";

interface Answer {
  readonly parliament: {
    readonly evaluated: number;
    readonly findings: readonly (readonly [string, string, string])[];
  };
  readonly checkov: {
    readonly evaluated: number;
    readonly checks: number;
    readonly findings: readonly (readonly [string, string, string])[];
  };
}

const venv = path.resolve(import.meta.dirname, "../../.setup/oracles");
const lock = path.join(import.meta.dirname, "requirements.lock");

function run(command: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    ...(input !== undefined && { input }),
  });
  if (error || status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr.slice(-2000)}`);
  return stdout;
}

/** The tools' own venv, made anew when the pins change. */
function python(): string {
  const found = path.join(venv, "bin/python");
  const stamp = path.join(venv, "stamp");
  const wanted = readFileSync(lock, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return found;
  mkdirSync(venv, { recursive: true });
  run("python", ["-m", "venv", "--clear", venv]);
  run(found, ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", lock]);
  writeFileSync(stamp, wanted);
  return found;
}

const documentsOf = (resources: readonly Resource[]): Record<string, unknown> =>
  Object.fromEntries(
    resources
      .filter(({ type, inputs }) => type.startsWith("aws:iam/") && inputs.policy !== undefined)
      .map(({ name, inputs }) => [name, JSON.parse(String(inputs.policy))]),
  );

const ask = (resources: readonly Resource[], documents = documentsOf(resources)): Answer =>
  JSON.parse(
    run(
      python(),
      [path.join(import.meta.dirname, "check.py")],
      JSON.stringify({ documents, plan: terraformPlan(resources) }),
    ),
  ) as Answer;

/** checkov's findings that are no fault, with why. */
const explained: Readonly<Record<string, string>> = {
  CKV_AWS_94: "it knows SSE-KMS alone; the catalog has the same key with a role of its own",
  CKV_AWS_117:
    "the partner puller alone is outside the VPC, which has no way out; prod's configuration waives it",
  CKV_AWS_124: "the stacks hold DataBrew's recipes; Pulumi waits for them and reports",
  CKV_AWS_272:
    "code signing is advisory in this pack: functions are built in the repository and deployed by CI alone",
  CKV_AWS_144:
    "replication to another region is a decision on cost and residency that a deployment makes for itself",
  CKV2_AWS_62: "only the landing bucket's events start anything",
  CKV2_AWS_5: "the rendering holds no references: groups are attached to jobs, functions, endpoints",
  CKV2_AWS_6:
    "the setting is a resource of its own, which the rendering does not tie to its bucket; rules of this pack do",
  CKV2_AWS_61: "a resource of its own, as above",
  CKV_AWS_145: "a resource of its own, as above",
  CKV_AWS_18: "a resource of its own, as above; the logs' own bucket has none",
  CKV_AWS_21: "a resource of its own, as above",
  CKV_AWS_300: "checkov knows the block as 'rule'; Pulumi's name is 'rules', judged by this pack",
  CKV_AWS_24: "the rule's source is the group itself, not a range of addresses",
  CKV_AWS_25: "the rule's source is the group itself",
  CKV_AWS_260: "the rule's source is the group itself",
};

/** parliament's findings that are no fault. */
const accepted: readonly {
  readonly issue: string;
  readonly detail: RegExp;
  readonly document: RegExp;
  readonly why: string;
}[] = [
  {
    issue: "UNKNOWN_CONDITION_FOR_ACTION",
    detail: /lambda:SourceFunctionArn/,
    document: /-runtime$/,
    why: "a global key of Lambda's that its data lacks",
  },
  {
    issue: "RESOURCE_MISMATCH",
    detail: /ec2:DeleteNetworkInterface/,
    document: /-runtime$/,
    why: "Lambda refuses a narrower resource",
  },
  {
    issue: "RESOURCE_MISMATCH",
    detail: /kinesis:StartStreamEncryption/,
    document: /-deploy-storage$/,
    why: "the stream's ARN is given, the key's is in a statement of its own",
  },
  {
    issue: "RESOURCE_MISMATCH",
    detail: /logs:DescribeLogGroups/,
    document: /-(fraud-(score|train)-runtime|deploy-events)$/,
    why: "EMR Serverless documents this resource, the log groups of the account, which its reference lacks",
  },
  { issue: "RESOURCE_STAR", detail: /./, document: /-boundary$/, why: "a boundary gives nothing" },
  {
    issue: "MISMATCHED_TYPE_BUT_USABLE",
    detail: /./,
    document: /-deploy-identity$/,
    why: "IAM's own example compares the boundary's ARN as text",
  },
  {
    issue: "RESOURCE_POLICY_PRIVILEGE_ESCALATION",
    detail: /s3:Put(BucketPolicy|LifecycleConfiguration)/,
    document: /-deploy-storage$/,
    why: "CI deploys the buckets' policies; pull requests are where they are judged",
  },
];

describe("two independent tools over the stack prod @slow", function () {
  this.timeout(600_000);
  let resources: readonly Resource[];
  let answer: Answer;
  before(async () => {
    resources = (await stackGraph("prod")).resources;
    answer = ask(resources);
  });

  it("parliament finds nothing in the IAM documents that is not explained", () => {
    const { evaluated, findings } = answer.parliament;
    console.log(`      parliament evaluated ${evaluated} documents, ${findings.length} findings explained`);
    expect(evaluated).to.be.greaterThan(80);
    const open = findings.filter(
      ([document, issue, detail]) =>
        !accepted.some(
          (each) => each.issue === issue && each.detail.test(detail) && each.document.test(document),
        ),
    );
    expect(open).to.deep.equal([]);
  });

  it("checkov finds nothing in the resources that is not explained", () => {
    const { evaluated, checks, findings } = answer.checkov;
    console.log(
      `      checkov evaluated ${evaluated} resources by ${checks} checks, ${findings.length} findings explained`,
    );
    expect(evaluated).to.be.greaterThan(200);
    expect(checks).to.be.greaterThan(60);
    expect(findings.filter(([, check]) => !(check in explained))).to.deep.equal([]);
    const unused = Object.keys(explained).filter((check) => !findings.some(([, each]) => each === check));
    expect(unused, "explained, and no longer found").to.deep.equal([]);
  });

  it("both find planted faults", () => {
    const statement = (Action: string, Resource: string) => ({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action, Resource }],
    });
    const edited = (
      type: string,
      edit: (inputs: Readonly<Record<string, unknown>>) => Record<string, unknown>,
    ) => {
      let done = false;
      return (each: Resource): Resource => {
        if (done || each.type !== type) return each;
        done = true;
        return { ...each, inputs: edit(each.inputs) };
      };
    };
    const without =
      (...names: string[]) =>
      (inputs: Readonly<Record<string, unknown>>) =>
        Object.fromEntries(Object.entries(inputs).filter(([name]) => !names.includes(name)));
    const planted = resources
      .map(edited("aws:sqs/queue:Queue", without("kmsMasterKeyId", "sqsManagedSseEnabled")))
      .map(edited("aws:cloudwatch/logGroup:LogGroup", without("kmsKeyId")))
      .map(edited("aws:dynamodb/table:Table", without("pointInTimeRecovery")))
      .map(edited("aws:kms/key:Key", (inputs) => ({ ...inputs, enableKeyRotation: false })));
    const found = ask(planted, {
      wide: statement("s3:*", "*"),
      misspelt: statement("s3:GetObjekt", "arn:aws:s3:::b/*"),
      mismatched: statement("s3:GetObject", "arn:aws:s3:::b"),
    });
    const issues = found.parliament.findings.map(([document, issue]) => `${document} ${issue}`);
    expect(issues).to.include.members([
      "wide RESOURCE_STAR",
      "misspelt UNKNOWN_ACTION",
      "mismatched RESOURCE_MISMATCH",
    ]);
    const checks = found.checkov.findings.map(([, check]) => check);
    expect(checks).to.include.members(["CKV_AWS_27", "CKV_AWS_158", "CKV_AWS_28", "CKV_AWS_7"]);
  });
});
