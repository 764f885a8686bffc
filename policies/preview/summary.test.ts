import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { statefulTypes as protectedTypes } from "../rules/durability.ts";
import { PreviewError, readPreview } from "./read.ts";
import { changesOf, statefulTypes, summaryOf } from "./summary.ts";

const recorded = (file: string): string =>
  readFileSync(path.join(import.meta.dirname, "recorded", file), "utf8");
const read = (name: string): string => recorded(`${name}.json`);
const document = (more: object): string =>
  JSON.stringify({ steps: [], changeSummary: { same: 1 }, ...more }, undefined, 4);
const step = (more: object): string =>
  document({ steps: [{ op: "delete", urn: "urn:pulumi:prod::p::aws:sns/topic:Topic::t", ...more }] });
/** Events as the engine streams them, one a line. */
const events = (...given: readonly object[]): string =>
  given.map((each, sequence) => `${JSON.stringify({ sequence, timestamp: 0, ...each })}\n`).join("");
const bucket = "urn:pulumi:prod::p::aws:s3/bucket:Bucket::lake";
const pre = (op: string, more: object = {}) => ({
  resourcePreEvent: { metadata: { op, urn: bucket, type: "aws:s3/bucket:Bucket", provider: "", ...more } },
});
const done = {
  summaryEvent: { maybeCorrupt: false, durationSeconds: 1, resourceChanges: {}, policyPacks: {} },
};
const refusal = (enforcementLevel: string, policyName = "s3-tls-only") => ({
  policyEvent: {
    resourceUrn: bucket,
    message: "<{%reset%}>[s3-tls-only] no policy denies it<{%reset%}>",
    color: "raw",
    policyName,
    policyPackName: "securecart-policies",
    policyPackVersion: "",
    policyPackVersionTag: "",
    enforcementLevel,
  },
});

describe("summary of a preview", () => {
  it("shows a replaced bucket bold and first, with its cause", () => {
    const summary = summaryOf("dev", read("replaced-bucket"));
    expect(summary).to.include("0 created, 3 changed, 1 replaced, 0 deleted.");
    const bucket = "| **replaced** | **securecart\\-dev\\-curated** | aws:s3/bucket:Bucket | bucket |";
    expect(summary.indexOf(bucket)).to.be.greaterThan(0);
    expect(summary.indexOf("| changed |")).to.be.greaterThan(summary.indexOf(bucket));
    expect(summary).to.include("**Bold:");
  });

  it("shows a deleted table bold and before deleted alarms, which are not", () => {
    const summary = summaryOf("dev", read("deleted-table"));
    expect(summary).to.include("4 deleted.");
    const table = summary.indexOf(
      "| **deleted** | **securecart\\-dev\\-processed** | aws:dynamodb/table:Table |",
    );
    expect(table).to.be.greaterThan(0);
    expect(summary.indexOf("| deleted | securecart\\-dev\\-redrive\\-errors |")).to.be.greaterThan(table);
  });

  it("shows a change of size with its property, nothing bold", () => {
    const summary = summaryOf("dev", read("size-change"));
    expect(summary).to.include("0 created, 4 changed, 0 replaced, 0 deleted.");
    expect(summary).to.include(
      "| changed | securecart\\-dev\\-migrate | aws:glue/job:Job | numberOfWorkers |",
    );
    expect(summary).to.not.include("**");
  });

  it("shows what policies refuse, from the engine's events", () => {
    const summary = summaryOf("dev", recorded("refused.jsonl"), false);
    expect(summary).to.include("**The preview failed.**");
    for (const key of ["data", "logs", "secrets"]) {
      expect(summary).to.include(`> kms\\-rotation at securecart\\-dev\\-${key}: `);
    }
    expect(summary).to.include("2 advisories of policies");
  });

  it("says that nothing changes", () => {
    expect(summaryOf("dev", read("no-change"))).to.equal("### Preview of dev\n\nNo changes.\n");
  });

  it("never says that nothing changes where the preview failed, however it failed", () => {
    const failed = [
      "{}",
      document({ changeSummary: undefined }),
      document({ diagnostics: [{ severity: "error", message: "no credentials" }] }),
      events({ preludeEvent: { config: {} } }, { cancelEvent: {} }),
      events(done, { diagnosticEvent: { severity: "error", message: "no credentials", color: "raw" } }),
      events(done, { errorEvent: { error: "the plugin ended" } }),
      events(refusal("mandatory"), done),
    ];
    for (const text of failed) {
      const summary = summaryOf("prod", text);
      expect(summary, text).to.include("**The preview failed.**").and.to.include("could be worked out");
      expect(summary, text).not.to.include("No changes.\n");
    }
    expect(summaryOf("prod", read("no-change"), false)).to.include("**The preview failed.**");
    expect(summaryOf("prod", read("size-change"), false))
      .to.include("**The preview failed.**")
      .and.to.include("4 changed");
  });

  it("reads the engine's events, with what policies refuse, behind what the CLI says before", () => {
    const text = `Loading policy packs...\n\n${events(
      { preludeEvent: { config: {} } },
      pre("create-replacement", { keys: ["bucket"], old: { protect: true, type: "aws:s3/bucket:Bucket" } }),
      pre("replace", { detailedDiff: { bucket: { diffKind: "update-replace", inputDiff: true } } }),
      pre("delete-replaced"),
      refusal("mandatory"),
      refusal("advisory", "s3-object-lock"),
      { diagnosticEvent: { severity: "error", message: "for the eye", color: "raw", ephemeral: true } },
      { somethingNewEvent: {} },
      done,
      { cancelEvent: {} },
    )}`;
    const summary = summaryOf("prod", text);
    expect(summary).to.include("0 created, 0 changed, 1 replaced, 0 deleted.");
    expect(summary).to.include(
      "| **replaced** | **lake** (protected: the deployment would fail) | aws:s3/bucket:Bucket | bucket |",
    );
    expect(summary).to.include("> s3\\-tls\\-only at lake: \\[s3\\-tls\\-only\\] no policy denies it");
    expect(summary).to.include("1 advisories of policies").and.to.include("- s3\\-object\\-lock at lake");
    expect(summary).to.not.include("for the eye").and.to.not.include("reset");
  });

  it("fits into a comment when a stack is made anew", () => {
    const many = Array.from({ length: 2000 }, (_, index) => ({
      op: "create",
      urn: `urn:pulumi:prod::p::aws:iam/rolePolicy:RolePolicy::securecart-prod-some-role-${index}`,
    }));
    expect(summaryOf("prod", document({ steps: many })))
      .to.match(/And \d+ more\./)
      .and.to.include("2000 created");
    // All of it at once, and as long as can be: a third of a megabyte that is all markup.
    const long = "*\n".repeat(300);
    const all = events(
      ...many.map(({ urn }) => pre("create", { urn })),
      ...many.map(() => ({ diagnosticEvent: { severity: "error", message: long, color: "raw" } })),
      ...many.map(() => ({ policyEvent: { ...refusal("mandatory").policyEvent, message: long } })),
      ...many.map(() => ({ policyEvent: { ...refusal("advisory").policyEvent, message: long } })),
      done,
    );
    const summary = summaryOf("prod", all);
    expect(summary.length).to.be.below(65_536);
    expect(summary)
      .to.include("2000 created")
      .and.to.include("more errors.")
      .and.to.include("more policies' refusals.");
  });

  it("takes every type for stateful that a rule wants protected", () => {
    expect(protectedTypes.filter((type) => !statefulTypes.has(type))).to.deep.equal([]);
  });

  it("shows errors, and never says that nothing changes then", () => {
    const text = document({
      steps: null,
      diagnostics: [
        { severity: "error", message: "<{%reset%}>policy s3-tls-only: refused\n" },
        { severity: "warning", message: "old" },
      ],
    });
    const summary = summaryOf("prod", text);
    expect(summary).to.include("> policy s3\\-tls\\-only: refused").and.to.include("could be worked out");
    expect(summary).to.not.include("No changes.").and.to.not.include("old");
  });

  it("takes nothing of a name for markup", () => {
    const urn = "urn:pulumi:prod::p::aws:sns/topic:Topic::a|**b**\n<img src=x>";
    const summary = summaryOf("prod", step({ urn }));
    expect(summary).to.include("a\\|\\*\\*b\\*\\* \\<img src=x\\>");
  });

  it("refuses what it cannot read, with what is wrong", () => {
    for (const text of ["Previewing update", "", "{ not json", '{"sequence":0}\n{"sequ']) {
      expect(() => readPreview(text), text).to.throw(PreviewError, "no JSON");
    }
    expect(() => readPreview('{"steps":[{"op":1}]}')).to.throw(PreviewError, "another form");
    expect(() => readPreview(events({ resourcePreEvent: { metadata: {} } }))).to.throw(
      PreviewError,
      "another form",
    );
    expect(() => changesOf(readPreview(step({ op: "explode" })))).to.throw(PreviewError, "'explode'");
  });

  it("runs as the workflow runs it, and fails on what is no preview", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "preview-"));
    const broken = path.join(folder, "x.json");
    writeFileSync(broken, "not json");
    const cli = (file: string, ...outcome: readonly string[]) =>
      spawnSync("tsx", [path.join(import.meta.dirname, "cli.ts"), "prod", file, ...outcome], {
        encoding: "utf8",
      });
    const size = path.join(import.meta.dirname, "recorded/size-change.json");
    const good = cli(size, "success");
    expect(cli(size, "failure").stdout).to.include("**The preview failed.**");
    const missing = cli(path.join(folder, "nowhere.json"));
    expect(missing.status).to.equal(1);
    expect(missing.stdout).to.include("could not be read");
    expect(good.status, good.stderr).to.equal(0);
    expect(good.stdout).to.include("### Preview of prod");
    const bad = cli(broken);
    rmSync(folder, { recursive: true });
    expect(bad.status).to.equal(1);
    expect(bad.stdout).to.include("could not be read");
  });
});
