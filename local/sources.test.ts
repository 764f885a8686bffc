/** What brings events and results onto this machine over HTTP: `npm run api`, `npm run pull`. */
import { once } from "node:events";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { expect } from "chai";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { startDynamodb } from "./adapters/dynamodbServer.ts";
import { openApi } from "./api.ts";
import { readApiLogs } from "./apiLogs.ts";
import { contractsOf } from "./deployment.ts";
import { pullLocal } from "./pull.ts";
import { temporaryFolder } from "./testing/harness.ts";
import { buckets, Workspace } from "./workspace.ts";

describe("sources over HTTP", () => {
  let out: string;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    ({ folder: out, remove } = await temporaryFolder());
  });
  afterEach(() => remove());

  it("takes events by the API, which the next run reads once", async () => {
    const api = await openApi(out, 0);
    const statuses: number[] = [];
    for (const id of ["r-1", "r-2", ""]) {
      const event = {
        request_id: id,
        timestamp: new Date().toISOString(),
        method: "GET",
        path: "/a",
        status: 200,
      };
      const headers = { "x-api-key": "local" };
      statuses.push((await fetch(api.url, { method: "POST", headers, body: JSON.stringify(event) })).status);
    }
    await api.close();
    expect(statuses).to.deep.equal([200, 200, 400]);

    const workspace = new Workspace(out);
    const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === "api_events");
    if (!contract) throw new Error("there is no contract of API events");
    const dynamodb = await startDynamodb(workspace.ledger);
    try {
      const services = { store: new DirectoryStore(workspace.lake), dynamodb, logged: () => {} };
      expect(await readApiLogs(services, workspace, contract)).to.deep.include({
        read: 2,
        loaded: 2,
        quarantined: {},
        refused: [],
      });
      expect(await readApiLogs(services, workspace, contract)).to.equal(undefined);
    } finally {
      await dynamodb.close();
    }
  });

  it("pulls a partner's results into a drop, and then what changed since", async () => {
    const asked: URL[] = [];
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://partner");
      asked.push(url);
      if (request.headers.authorization !== "Bearer secret") {
        response.writeHead(401).end();
        return;
      }
      const first = url.searchParams.get("cursor") === null;
      const data = [{ campaign_id: first ? "A" : "B", campaign_name: "Spring" }];
      response.end(JSON.stringify({ data, next_cursor: first ? "2" : null }));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/results`;
    await mkdir(out, { recursive: true });
    try {
      const { records, to } = await pullLocal(out, url, "secret");
      expect(records).to.equal(2);
      const folder = path.join(new Workspace(out).lake, buckets.landing, "drops/campaigns");
      const [drop = ""] = await readdir(folder);
      const lines = (await readFile(path.join(folder, drop), "utf8")).trim().split("\n");
      expect(lines.slice(1).map((line) => line.split(";")[0])).to.deep.equal(["A", "B"]);

      await pullLocal(out, url, "secret");
      const since = Date.parse(asked.at(-1)?.searchParams.get("updated_from") ?? "");
      expect(since).to.equal(Date.parse(to) - 10 * 60_000);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
