/** The workflow of pull requests keeps to its own rules; its grammar is actionlint's business (.ci/run). */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { parse } from "yaml";

interface Job {
  readonly permissions?: Record<string, string>;
  readonly "timeout-minutes"?: number;
  readonly steps: readonly {
    readonly uses?: string;
    readonly id?: string;
    readonly run?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly with?: Record<string, unknown>;
  }[];
}
const root = path.resolve(import.meta.dirname, "../..");
const file = path.join(root, ".github/workflows/pull-request.yml");
const text = readFileSync(file, "utf8");
const workflow = parse(text) as {
  readonly on: object;
  readonly permissions: object;
  readonly jobs: Record<string, Job>;
};
const jobs = Object.entries(workflow.jobs);
const steps = jobs.flatMap(([, job]) => job.steps);

describe("workflow of pull requests", () => {
  it("pins every action by its commit, with the version beside it", () => {
    const used = steps.flatMap(({ uses }) => (uses === undefined ? [] : [uses]));
    expect(used).to.have.length.greaterThan(4);
    for (const uses of used) expect(uses).to.match(/^[\w./-]+@[0-9a-f]{40}$/);
    expect(text.match(/uses: .*/g)?.filter((line) => !/ # v\d+\.\d+\.\d+$/.test(line))).to.deep.equal([]);
  });

  it("gives the token nothing, and each job what it needs", () => {
    expect(workflow.permissions).to.deep.equal({});
    expect(Object.fromEntries(jobs.map(([name, { permissions }]) => [name, permissions]))).to.deep.equal({
      tests: { contents: "read" },
      policy: { contents: "read", "security-events": "write" },
      preview: { contents: "read", "id-token": "write", "pull-requests": "write" },
    });
    for (const [name, job] of jobs) expect(job["timeout-minutes"], name).to.be.a("number");
  });

  it("runs on the pull request's own rights, keeps no credentials, and puts nothing of its text into a shell", () => {
    expect(Object.keys(workflow.on)).to.deep.equal(["pull_request"]);
    for (const { uses, with: given } of steps) {
      if (uses?.startsWith("actions/checkout@")) expect(given).to.include({ "persist-credentials": false });
    }
    for (const { run = "" } of steps) expect(run).to.not.match(/\$\{\{\s*(github|inputs)\./);
  });

  it("builds what the program uploads before it previews: without it the program ends at once", () => {
    const runs = workflow.jobs.preview?.steps.map(({ run = "" }) => run) ?? [];
    const packaged = runs.findIndex((run) => run.includes("npm run package"));
    expect(packaged).to.be.at.least(0);
    expect(packaged).to.be.below(runs.findIndex((run) => run.includes("pulumi preview")));
  });

  it("tells the summary how the preview ended, and has the engine tell what policies say", () => {
    const preview = workflow.jobs.preview?.steps ?? [];
    const asked = preview.find(({ run = "" }) => run.includes("pulumi preview"));
    expect(asked).to.deep.include({ id: "preview" });
    expect(asked?.env).to.deep.equal({ PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "true" });
    const told = preview.find(({ run = "" }) => run.includes("policies/preview/cli.ts"));
    expect(told?.env?.OUTCOME).to.match(/^\$\{\{ steps\.preview\.outcome \}\}$/);
    expect(told?.run).to.include('preview.json "$OUTCOME"');
  });

  it("previews both stacks with the policy pack", () => {
    const runs = steps.map(({ run = "" }) => run).join("\n");
    expect(runs.replaceAll("\\\n", " ")).to.match(
      /pulumi preview .*--diff .*--json .*--policy-pack policies +--policy-pack-config "policies\/config\/\$STACK\.json"/,
    );
    for (const stack of ["dev", "prod"])
      expect(existsSync(path.join(root, `policies/config/${stack}.json`))).to.equal(true);
    expect(text.match(/stack: \[dev, prod\]/g)).to.have.length(2);
  });
});
