import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { readReport, writeReport } from "./files.ts";
import { exampleReport } from "./testdata/example.ts";

describe("report files", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "report-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function failure(promise: Promise<unknown>): Promise<string> {
    return promise.then(
      () => "it did not fail",
      (error: Error) => error.message,
    );
  }

  it("are written together into a new directory and read back as they were", async () => {
    const target = path.join(directory, "runs/b1");
    const files = await writeReport(exampleReport(), target);
    expect((await readdir(target)).sort()).to.deep.equal(["report.html", "report.json"]);
    expect(await readFile(files.html, "utf8")).to.match(/^<!doctype html>[\s\S]*<\/html>\n$/);
    expect(await readReport(files.json)).to.deep.equal(exampleReport());
  });

  it("name the file that is missing, broken or of another version", async () => {
    const file = path.join(directory, "report.json");
    expect(await failure(readReport(file))).to.include(`${file} could not be read (ENOENT`);
    await writeFile(file, "{");
    expect(await failure(readReport(file))).to.include(`${file} could not be read (`);
    await writeFile(file, '{"version":2}');
    expect(await failure(readReport(file))).to.include(`${file} is not a report of format version 1`);
  });
});
