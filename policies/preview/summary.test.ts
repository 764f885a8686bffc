import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { changesOf, PreviewError, summaryOf } from "./summary.ts";

const read = (name: string): string =>
  readFileSync(path.join(import.meta.dirname, "recorded", `${name}.json`), "utf8");
const step = (more: object): string =>
  JSON.stringify({ steps: [{ op: "delete", urn: "urn:pulumi:prod::p::aws:sns/topic:Topic::t", ...more }] });

describe("summary of a preview", () => {
  it("shows a replaced bucket once, bold, with its cause, and that it is protected", () => {
    const summary = summaryOf("prod", read("replaced-bucket"));
    expect(summary).to.include("0 created, 0 changed, 1 replaced, 0 deleted.");
    expect(summary).to.include(
      "| **replaced** | **securecart\\-prod\\-curated** (protected: the deployment would fail) | aws:s3/bucket:Bucket | bucket |",
    );
    expect(summary).to.include("**Bold:");
  });

  it("shows a deleted table bold and before a deleted alarm, which is not", () => {
    const summary = summaryOf("prod", read("deleted-table"));
    expect(summary).to.include("2 deleted.");
    expect(summary.indexOf("| **deleted** | **securecart\\-prod\\-ledger** |")).to.be.greaterThan(0);
    expect(summary.indexOf("| deleted | securecart\\-prod\\-slow |")).to.be.greaterThan(
      summary.indexOf("ledger"),
    );
  });

  it("shows a change of size with its property, nothing bold", () => {
    const summary = summaryOf("dev", read("size-change"));
    expect(summary).to.include(
      "| changed | securecart\\-prod\\-clean | aws:glue/job:Job | numberOfWorkers |",
    );
    expect(summary).to.not.include("**");
  });

  it("says that nothing changes", () => {
    expect(summaryOf("dev", read("no-change"))).to.equal("### Preview of dev\n\nNo changes.\n");
    expect(summaryOf("dev", "{}")).to.include("No changes.");
  });

  it("shows errors, and never says that nothing changes then", () => {
    const text = JSON.stringify({
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
    expect(() => changesOf("Previewing update")).to.throw(PreviewError, "no JSON");
    expect(() => changesOf('{"steps":[{"op":1}]}')).to.throw(PreviewError, "another form");
    expect(() => changesOf(step({ op: "explode" }))).to.throw(PreviewError, "'explode'");
  });

  it("runs as the workflow runs it, and fails on what is no preview", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "preview-"));
    const broken = path.join(folder, "x.json");
    writeFileSync(broken, "not json");
    const cli = (file: string) =>
      spawnSync("tsx", [path.join(import.meta.dirname, "cli.ts"), "prod", file], { encoding: "utf8" });
    const good = cli(path.join(import.meta.dirname, "recorded/size-change.json"));
    expect(good.status, good.stderr).to.equal(0);
    expect(good.stdout).to.include("### Preview of prod");
    const bad = cli(broken);
    rmSync(folder, { recursive: true });
    expect(bad.status).to.equal(1);
    expect(bad.stdout).to.include("could not be read");
  });
});
