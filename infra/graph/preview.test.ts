import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import bookshop from "../../examples/bookshop/index.ts";
import { root } from "../package/artifacts.ts";
import { environmentArchive } from "../package/environment.ts";
import { wheelsArchive } from "../package/wheels.ts";
import { place } from "../testing.ts";
import { recordGraph } from "./offline.ts";
import { preview, unknownValue } from "./preview.ts";
import { readStackFile } from "./stack-file.ts";
import { placeOf, stackGraph } from "./stack-graph.ts";

/** A folder for what is built, with or without a stand-in for the wheels that `npm run package` downloads. */
function buildDir(packaged: boolean): Record<string, string> {
  const folder = mkdtempSync(path.join(tmpdir(), "build-"));
  if (packaged) {
    for (const { name } of [wheelsArchive(), environmentArchive()])
      writeFileSync(path.join(folder, name), "packages");
  }
  return { SECURECART_BUILD_DIR: folder };
}

describe("the stock Node.js runtime", function () {
  this.timeout(120_000);
  const config = readStackFile("dev");
  const dev = { projectDir: root, stack: "dev", config, place: placeOf(config) };

  it("runs the program as it stands: the resources of a preview are those of the graph", async () => {
    const { exitCode, resources, errors, stderr } = await preview({ ...dev, environment: buildDir(true) });
    expect(errors, stderr).to.deep.equal([]);
    expect(exitCode, stderr).to.equal(0);
    const graph = await stackGraph("dev");
    expect(resources.map(({ urn }) => urn).toSorted()).to.deep.equal(graph.resources.map(({ urn }) => urn));
    // What a reviewer cannot read before the first deployment ("key": of the catalog): ids of keys, subnets, groups, the API and the
    // workgroup.
    const unknownPolicies = resources.filter(({ inputs }) => inputs.policy === unknownValue);
    const concerns = new Set(unknownPolicies.map(({ urn }) => urn.split(/::securecart-dev-|-/).at(-1)));
    expect([...concerns]).to.have.members([
      ...[
        "keys",
        "key",
        "runtime",
        "start",
        "load",
        "query",
        "warehouse",
        "stream",
        "events",
        "put",
        "fraud",
      ],
      ...["landing", "staging", "curated", "quarantine", "artifacts"],
    ]);
  });

  it("goes without what is not packaged, and says that a deployment needs it @slow", async () => {
    const { exitCode, resources, errors, warnings } = await preview({ ...dev, environment: buildDir(false) });
    expect(errors).to.deep.equal([]);
    expect(exitCode).to.equal(0);
    expect(
      warnings.map((text) => /^.*run 'npm run package' once before 'pulumi up'/.test(text)),
    ).to.deep.equal([true, true]);
    const graph = await stackGraph("dev");
    expect(resources.map(({ urn }) => urn).toSorted()).to.deep.equal(graph.resources.map(({ urn }) => urn));
  });

  it("ends a deployment with the remedy, and registers nothing, while nothing is packaged @slow", async () => {
    const { exitCode, resources, errors } = await preview({
      ...dev,
      deployment: true,
      environment: buildDir(false),
    });
    expect(errors.join("\n")).to.contain("run 'npm run package' once and repeat the command");
    expect(exitCode).not.to.equal(0);
    expect(resources.map(({ urn }) => urn)).to.deep.equal([
      "urn:pulumi:dev::securecart-etl::pulumi:pulumi:Stack::securecart-etl-dev",
    ]);
  });

  it("says in a preview which policy is longer than IAM takes @slow", async () => {
    const warehouse = JSON.parse(config["securecart-etl:warehouse"] ?? "{}") as object;
    const biPrincipals = Array.from(
      { length: 60 },
      (_, index) => `arn:aws:iam::111122223333:role/bi-${index}`,
    );
    const long = { ...config, "securecart-etl:warehouse": JSON.stringify({ ...warehouse, biPrincipals }) };
    const { exitCode, errors } = await preview({ ...dev, config: long, environment: buildDir(true) });
    expect(exitCode).not.to.equal(0);
    expect(errors.join("\n")).to.match(
      /the trust policy of the role 'securecart-dev-bi': \d+ characters, of which IAM takes 2048/,
    );
  });

  it("runs the example program @slow", async () => {
    const { exitCode, resources, stderr } = await preview({
      projectDir: path.join(root, "examples/bookshop"),
      stack: "dev",
      config: { "aws:region": place.region },
      place,
      environment: buildDir(true),
    });
    expect(exitCode, stderr).to.equal(0);
    const graph = await recordGraph(() => bookshop({ offline: true }), {
      project: "bookshop",
      stack: "dev",
      place,
    });
    expect(resources.map(({ urn }) => urn).toSorted()).to.deep.equal(graph.resources.map(({ urn }) => urn));
  });
});
