import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { expect } from "chai";
import { makeCluster } from "./cluster.ts";

describe("clusters from a template", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "cluster-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("come from one initdb, are apart from each other, and stay as they are", async () => {
    const template = path.join(folder, "template");
    const dirs = [path.join(folder, "one"), path.join(folder, "two")] as const;
    for (const dir of dirs) await makeCluster(dir, template);
    const one = await PGlite.create(dirs[0]);
    await one.exec("CREATE TABLE mine (x int); INSERT INTO mine VALUES (7)");
    await one.close();
    await makeCluster(dirs[0], template);
    const again = await PGlite.create(dirs[0]);
    expect((await again.query("SELECT x FROM mine")).rows).to.deep.equal([{ x: 7 }]);
    await again.close();
    const two = await PGlite.create(dirs[1]);
    expect((await two.query("SELECT to_regclass('mine') AS found")).rows).to.deep.equal([{ found: null }]);
    await two.close();
    expect((await readdir(folder)).sort()).to.deep.equal(["one", "template", "two"]);
  });

  it("that cannot be copied leave nothing behind", async () => {
    const template = path.join(folder, "broken");
    await writeFile(template, "");
    const dir = path.join(folder, "three");
    const error: unknown = await makeCluster(dir, path.join(template, "missing")).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(Error);
    expect(await readdir(dir)).to.deep.equal([]);
    expect((await readdir(folder)).filter((name) => name.includes(".part"))).to.deep.equal([]);
  });
});
