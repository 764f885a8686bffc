/** What the command line answers to what it cannot work with: what, where, what to do, and a non-zero exit. */
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { expect } from "chai";
import { background, command, type Exit, temporaryFolder } from "./testing/harness.ts";

const contract = path.resolve(import.meta.dirname, "../examples/superstore/superstore.yaml");

describe("the command line refuses before anything starts", function () {
  this.timeout(60_000);
  let folder: string;
  let remove: () => Promise<void>;

  before(async () => {
    ({ folder, remove } = await temporaryFolder());
  });
  after(() => remove?.());

  const out = (): string[] => ["--out", path.join(folder, "out")];

  /** It failed with one message for a person: all these words, no trace. */
  function expectRefusal({ code, stdout, stderr }: Exit, ...words: string[]): void {
    expect(code, stderr).to.equal(1);
    for (const word of words) expect(stderr).to.include(word);
    expect(stderr).not.to.match(/^\s+at .+:\d+/m);
    expect(stdout).to.equal("");
  }

  it("a contract with an unknown type: column, type and the known ones", async () => {
    const file = path.join(folder, "unknown.yaml");
    await writeFile(file, (await readFile(contract, "utf8")).replace("varchar(14)", "text(14)"));
    const exit = command("start", ...out(), "--contract", file);
    expectRefusal(exit, file, "order_id", "text(14)", "varchar(1..65535)");
  });

  it("a contract file that does not exist, or is a folder", () => {
    const file = path.join(folder, "nowhere.yaml");
    expectRefusal(
      command("start", ...out(), "--contract", file),
      `--contract ${file}`,
      "ENOENT",
      "check the path",
    );
    expectRefusal(command("start", ...out(), "--contract", folder), `--contract ${folder}`, "is no file");
  });

  it("an input that cannot be read", () => {
    const input = path.join(folder, "nowhere");
    const exit = command("start", ...out(), "--contract", contract, "--input", input);
    expectRefusal(exit, `--input ${input}`, "ENOENT", "permissions");
    expectRefusal(
      command("start", ...out(), "--contract", contract, "--input", path.join(contract, "drops")),
      "--input",
      "ENOTDIR",
    );
    expectRefusal(command("start", ...out(), "--input", contract), "--input needs --contract");
  });

  it("an output folder that is a file", async () => {
    const file = path.join(folder, "file");
    await writeFile(file, "mine");
    for (const args of [
      ["start", "--out", file],
      ["query", "SELECT 1", "--out", file],
    ]) {
      expectRefusal(command(...args), file, "cannot be written to", "--out <folder>");
    }
    expect(await readFile(file, "utf8")).to.equal("mine");
  });

  it("options it does not know, and values out of range", () => {
    expectRefusal(command("start", ...out(), "--backfil", "x"), "--backfil");
    expectRefusal(command("start", ...out(), "--scale", "small"), "--scale small", "number");
    expectRefusal(command("start", ...out(), "--backfill", "2026-08-01"), "2026-08-01..2026-08-07");
    expectRefusal(
      command("start", ...out(), "--from", "clean", "--backfill", "2026-08-01..2026-08-02"),
      "exclude",
    );
    expectRefusal(
      command("start", ...out(), "--event", path.join(folder, "nowhere.json")),
      "nowhere.json",
      "JSON",
    );
  });

  it("a port of the API that is none, or is taken", async () => {
    for (const port of ["70000", "8080.5", "http"]) {
      expectRefusal(command("api", ...out(), "--port", port), `--port ${port}`, "0", "65535");
    }
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const { port } = server.address() as AddressInfo;
      expectRefusal(command("api", ...out(), "--port", `${port}`), `port ${port} is taken`, "--port names");
    } finally {
      server.close();
    }
  });

  it("a pull without address or token, or by what is no HTTP", async () => {
    const pull = (token: string | undefined, ...args: string[]): Promise<Exit> =>
      background(["pull", ...out(), ...args], { PARTNER_TOKEN: token }).exit;
    expectRefusal(await pull("t"), "--url", "PARTNER_TOKEN");
    for (const token of [undefined, "", " "]) {
      expectRefusal(await pull(token, "--url", "http://127.0.0.1:9/results"), "set PARTNER_TOKEN");
    }
    for (const url of ["localhost:9000/results", "results", "file:///results"]) {
      expectRefusal(await pull("t", "--url", url), `--url ${url}`, "https://api.example.com/results");
    }
  });
});
