/** What brings events and results onto this machine over HTTP: `npm run api`, `npm run pull`. */
import { once } from "node:events";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { pullDefaults } from "../functions/partner-pull/pull.ts";
import { planCsv } from "../functions/plan/csv.ts";
import { ofKind, type SourceContract } from "../functions/shared/contracts.ts";
import { Ledger } from "../functions/shared/ledger.ts";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { startDynamodb } from "./adapters/dynamodbServer.ts";
import { openApi } from "./api.ts";
import { newRecords, readApiLogs } from "./apiLogs.ts";
import { putRecords } from "./clickstream.ts";
import { contractsOf } from "./deployment.ts";
import { pullLocal } from "./pull.ts";
import { temporaryFolder } from "./testing/harness.ts";
import { buckets, pipelineName, Workspace } from "./workspace.ts";

describe("sources over HTTP", () => {
  let out: string;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    ({ folder: out, remove } = await temporaryFolder());
  });
  afterEach(() => remove());

  type Api = Awaited<ReturnType<typeof openApi>>;

  async function post(api: Api, id: string): Promise<number> {
    const timestamp = new Date(Date.now()).toISOString();
    const body = JSON.stringify({ request_id: id, timestamp, method: "GET", path: "/a", status: 200 });
    const answer = await fetch(api.url, { method: "POST", headers: { "x-api-key": "local" }, body });
    await answer.body?.cancel();
    return answer.status;
  }

  /** What `npm start` reads of the API's events; undefined when nothing is new. */
  async function readNew() {
    const workspace = new Workspace(out);
    const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === "api_events");
    if (!contract) throw new Error("there is no contract of API events");
    const dynamodb = await startDynamodb(workspace.ledger);
    try {
      const services = { store: new DirectoryStore(workspace.lake), dynamodb, logged: () => {} };
      return await readApiLogs(services, workspace, contract);
    } finally {
      await dynamodb.close();
    }
  }

  it("takes events by the API, which the next run reads once", async () => {
    const api = await openApi(out, 0);
    const statuses: number[] = [];
    for (const id of ["r-1", "r-2", ""]) statuses.push(await post(api, id));
    await api.close();
    expect(statuses).to.deep.equal([200, 200, 400]);
    expect(await readNew()).to.deep.include({ read: 2, loaded: 2, quarantined: {}, refused: [] });
    expect(await readNew()).to.equal(undefined);
  });

  it("loses no event to a run that reads while another event is slow to land", async () => {
    let calls = 0;
    const api = await openApi(out, 0, async (...record) => {
      calls += 1;
      if (calls === 1) await sleep(500);
      await putRecords(...record);
    });
    try {
      const posts = ["r-1", "r-2", "r-3", "r-4"].map((id) => post(api, id));
      expect(await Promise.race(posts)).to.equal(200);
      const first = await readNew();
      expect(await Promise.all(posts)).to.deep.equal([200, 200, 200, 200]);
      const second = await readNew();
      expect((first?.loaded ?? 0) + (second?.loaded ?? 0)).to.equal(4);
    } finally {
      await api.close();
    }
  });

  it("reads no event of a shard before one that landed earlier, whatever a listing of the folder missed", async () => {
    const landed: string[] = [];
    const api = await openApi(out, 0, async (workspace, stream, file, lines) => {
      await putRecords(workspace, stream, file, lines);
      landed.push(`${file}.jsonl`);
    });
    for (const id of ["r-1", "r-2", "r-3"]) await post(api, id);
    await api.close();
    const read = async (...listings: string[][]): Promise<number[]> => {
      const shards = await newRecords(new Workspace(out), {}, async () => listings.shift() ?? []);
      return [...shards.values()].flat().map(({ kinesis }) => Number(kinesis.sequenceNumber));
    };
    const [first = "", second = "", third = ""] = landed;
    expect(await read([second], [third, second, first])).to.deep.equal([1, 2]);
    expect(await read([], [third, first])).to.deep.equal([]);
  });

  it("goes on after an event that could not be written, and says so", async () => {
    let calls = 0;
    const api = await openApi(out, 0, async (...record) => {
      calls += 1;
      if (calls === 1) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      await putRecords(...record);
    });
    try {
      expect([await post(api, "r-1"), await post(api, "r-1")]).to.deep.equal([503, 200]);
      expect(await readNew()).to.deep.include({ read: 1, loaded: 1 });
    } finally {
      await api.close();
    }
  });

  it("loses no event to another process on the folder, nor to a clock that is set back", async () => {
    const { now } = Date;
    const noon = now();
    const apis: Api[] = [];
    const open = async (): Promise<Api> => {
      const api = await openApi(out, 0);
      apis.push(api);
      return api;
    };
    try {
      Date.now = () => noon;
      const [one, other] = [await open(), await open()];
      expect([await post(one, "r-1"), await post(other, "r-2")]).to.deep.equal([200, 200]);
      Date.now = now;
      expect(await readNew()).to.deep.include({ read: 2, loaded: 2 });

      Date.now = () => noon - 3_600_000;
      expect([await post(one, "r-3"), await post(await open(), "r-4")]).to.deep.equal([200, 200]);
      Date.now = now;
      expect(await readNew()).to.deep.include({ read: 2, loaded: 2 });
    } finally {
      Date.now = now;
      for (const api of apis) await api.close();
    }
  });

  /** The drops of campaigns that the next run plans to read: `npm start` plans with the same function. */
  async function newDrops(): Promise<string[]> {
    const workspace = new Workspace(out);
    const { contracts } = await contractsOf(undefined);
    const sources = contracts.filter((contract): contract is SourceContract => contract.source !== undefined);
    const contract = ofKind(sources, "csv").find(({ name }) => name === "campaigns");
    if (!contract) throw new Error("there is no contract of campaigns");
    const dynamodb = await startDynamodb(workspace.ledger);
    try {
      const ledger = new Ledger(dynamodb.client, dynamodb.ledgerTable, pipelineName);
      const plan = await planCsv(contract, buckets.landing, new DirectoryStore(workspace.lake), ledger);
      return (plan?.objects ?? []).map(({ key }) => key);
    } finally {
      await dynamodb.close();
    }
  }

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
      expect(asked[0]?.searchParams.get("updated_from")).to.equal(pullDefaults.begin);
      expect(await newDrops()).to.deep.equal([`drops/campaigns/${drop}`]);

      await pullLocal(out, url, "secret");
      const since = Date.parse(asked.at(-1)?.searchParams.get("updated_from") ?? "");
      expect(since).to.equal(Date.parse(to) - pullDefaults.overlapMinutes * 60_000);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
