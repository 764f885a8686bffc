import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { expect } from "chai";
import { contractsDir } from "../../contracts/bundle.ts";
import { type Contract, loadContract } from "../../contracts/contract.ts";
import { startDynamodb } from "../../local/adapters/dynamodbServer.ts";
import { Ledger } from "../shared/ledger.ts";
import { rejection } from "../testing/rejection.ts";
import { retryAfter } from "./client.ts";
import { type PullDeps, pull } from "./pull.ts";

const record = (id: string, updated: string) => ({
  updated,
  fields: {
    campaign_id: id,
    campaign_name: 'Spring "24"; \u00fcber',
    channel: "EMAIL",
    region: "eu-north",
    start_date: "2026-01-01",
    end_date: null,
    budget_usd: 1000.5,
    spend_usd: 2,
    impressions: 10,
    clicks: 3,
    conversions: 1,
  },
});

describe("pull of a partner's API", () => {
  const results = [record("A", "2026-01-05"), record("B", "2026-01-06"), record("C", "2026-01-07")];
  let server: Server;
  let dynamodb: Awaited<ReturnType<typeof startDynamodb>>;
  let deps: PullDeps;
  let contract: Contract;
  /** Answers given before the server behaves: status and Retry-After. */
  let troubles: [number, string?][] = [];
  let requests: URL[] = [];
  let waits: number[] = [];
  const written = new Map<string, string>();

  before(async () => {
    contract = await loadContract(path.join(contractsDir, "campaigns.yaml"));
    dynamodb = await startDynamodb();
    // Two results a page; a cursor is the number of results that were given.
    server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://partner");
      requests.push(url);
      const trouble = troubles.shift();
      if (trouble || request.headers.authorization !== "Bearer secret") {
        const [status, after] = trouble ?? [401];
        response.writeHead(status, after === undefined ? {} : { "retry-after": after }).end("no");
        return;
      }
      const [from, to] = [
        url.searchParams.get("updated_from") ?? "",
        url.searchParams.get("updated_to") ?? "",
      ];
      const found = results
        .filter(({ updated }) => updated >= from && updated < to)
        .map(({ fields }) => fields);
      const at = Number(url.searchParams.get("cursor") ?? 0);
      const next = at + 2 < found.length ? String(at + 2) : null;
      response.end(JSON.stringify({ data: found.slice(at, at + 2), next_cursor: next }));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await dynamodb.close();
  });
  let pipelines = 0;
  beforeEach(() => {
    [troubles, requests, waits] = [[], [], []];
    written.clear();
    pipelines += 1;
    const { port } = server.address() as AddressInfo;
    deps = {
      contract,
      client: {
        url: `http://127.0.0.1:${port}/results`,
        token: "secret",
        sleep: async (milliseconds) => {
          waits.push(milliseconds);
        },
      },
      ledger: new Ledger(dynamodb.client, dynamodb.ledgerTable, `test-${pipelines}`),
      store: {
        putText: async (_, key, text) => {
          written.set(key, text);
        },
      },
      landing: "landing",
      now: () => new Date("2026-01-06T12:00:00.000Z"),
      begin: "2026-01-01T00:00:00.000Z",
      overlapMinutes: 0,
    };
  });

  it("writes every page as one drop in the contract's dialect, and goes on where it stopped", async () => {
    const first = await pull({ ...deps, now: () => new Date("2026-01-08T00:00:00.000Z") });
    expect([first.records, first.pages]).to.deep.equal([3, 2]);
    const [[key, text] = []] = written;
    expect(key).to.equal("drops/campaigns/partner-2026-01-01T00-00-00-000Z--2026-01-08T00-00-00-000Z.csv");
    const [header, line] = (text ?? "").split("\n");
    expect(header).to.equal(contract.columns.map(({ sourceName }) => sourceName).join(";"));
    expect(line).to.equal('A;"Spring ""24""; \u00fcber";EMAIL;eu-north;2026-01-01;;1000,5;2;10;3;1');

    const second = await pull({ ...deps, now: () => new Date("2026-01-09T00:00:00.000Z") });
    expect(second).to.deep.equal({
      from: "2026-01-08T00:00:00.000Z",
      to: "2026-01-09T00:00:00.000Z",
      records: 0,
      pages: 1,
    });
    expect(written.size).to.equal(1);
  });

  it("waits as long as it is asked to, tries errors of the server again, and sleeps longer each time", async () => {
    troubles = [[429, "7"], [503], [500]];
    expect((await pull(deps)).records).to.equal(2);
    expect(waits[0]).to.equal(7000);
    expect(waits).to.have.length(3);
    expect(requests).to.have.length(4);
  });

  it("gives up without moving the watermark, so that the next pull reads the same window", async () => {
    troubles = Array.from({ length: 6 }, () => [502] as [number]);
    const { message } = await rejection(pull(deps));
    expect(message).to.match(/HTTP 502 6 times; the next pull reads the same window$/);
    expect(written.size).to.equal(0);
    expect((await pull(deps)).from).to.equal(deps.begin);
  });

  it("does not repeat what cannot work, nor wait for hours", async () => {
    const denied = rejection(pull({ ...deps, client: { ...deps.client, token: "wrong" } }));
    expect((await denied).message).to.contain("HTTP 401; check the address and the token");
    expect(requests).to.have.length(1);
    troubles = [[429, "7200"]];
    expect((await rejection(pull(deps))).message).to.match(/asks to wait 7200 s; the next pull/);
  });

  it("reads Retry-After in seconds and as a date", () => {
    const now = new Date("2026-01-01T00:00:00Z");
    expect(retryAfter("Thu, 01 Jan 2026 00:01:00 GMT", now)).to.equal(60_000);
    expect([retryAfter("3", now), retryAfter("soon", now), retryAfter(null, now)]).to.deep.equal([
      3000,
      undefined,
      undefined,
    ]);
  });
});
