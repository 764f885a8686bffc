import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect } from "chai";
import { contractsDir } from "../../contracts/bundle.ts";
import { loadContract } from "../../contracts/contract.ts";
import { ingestion, type PutRecord, startIngestionApi } from "../../local/adapters/ingestionApi.ts";
import { renderTemplate } from "../../local/adapters/mappingTemplate.ts";
import { ApiLogsBench, arrival } from "../testing/apiLogs.ts";
import { streamRecord } from "../testing/kinesis.ts";
import { requestModel } from "./model.ts";

const event = {
  request_id: "r-1",
  timestamp: "2026-03-01T11:59:58Z",
  service: "caf\u00e9 \ud83d\ude00",
  method: "GET",
  path: '/a"b\\c?x=$util.base64Encode(1)&y=#set($a=1)',
  status: 200,
  latency_ms: 1.5,
  message: "line\nbreak",
};

describe("API as a source", () => {
  const records: PutRecord[] = [];
  let api: Awaited<ReturnType<typeof startIngestionApi>>;
  let template: string;
  let failure: Error | undefined;
  let faults: unknown[] = [];

  before(async () => {
    const contract = await loadContract(path.join(contractsDir, "api_events.yaml"));
    template = await readFile(path.join(import.meta.dirname, "put-record.vtl"), "utf8");
    api = await startIngestionApi({
      model: requestModel(contract),
      template,
      stream: "api-events",
      keys: new Set(["k"]),
      put: async (record) => {
        if (failure) throw failure;
        records.push(record);
        return String(records.length);
      },
      onFault: (error) => faults.push(error),
    });
  });
  after(() => api.close());
  beforeEach(() => {
    records.length = 0;
    failure = undefined;
    faults = [];
  });

  const post = async (body: string, key = "k") => {
    const answer = await fetch(api.url, { method: "POST", body, headers: { "x-api-key": key } });
    return { status: answer.status, body: JSON.stringify(await answer.json()) };
  };

  it("puts a valid event on the stream as it came, whatever is in it, and the stream's function reads it", async () => {
    expect(await post(JSON.stringify(event, null, 2))).to.deep.equal({
      status: 200,
      body: '{"sequenceNumber":"1"}',
    });
    const [record] = records;
    const data = Buffer.from(record?.Data ?? "", "base64").toString("utf8");
    expect(JSON.parse(data)).to.deep.equal(event);
    expect(record?.StreamName).to.equal("api-events");
    const bench = await ApiLogsBench.start();
    try {
      // Pretty-printed too: how API Gateway writes $input.json is its own affair.
      const pretty = JSON.stringify({ ...event, request_id: "r-2" }, null, 2);
      const { counts } = await bench.stream({
        Records: [streamRecord(1, data, arrival), streamRecord(2, pretty, arrival)],
      });
      expect(counts).to.deep.equal({ received: 2, accepted: 2, duplicates: 0, quarantined: {} });
      const [row] = await bench.rows();
      expect([row?.service, row?.message]).to.deep.equal([event.service, event.message]);
    } finally {
      await bench.stop();
    }
  });

  const bad: readonly [string, unknown, string][] = [
    ["a missing field", { ...event, status: undefined }, "must have required property 'status'"],
    ["another type", { ...event, status: "200" }, "/status must be integer"],
    ["a value out of bounds", { ...event, status: 999 }, "/status must be <= 599"],
    ["an unknown field", { ...event, statuss: 1 }, "must NOT have additional properties"],
    [
      "an id that is too long",
      { ...event, request_id: "x".repeat(129) },
      "/request_id must NOT have more than 128",
    ],
    ["no object", [event], "/ must be object"],
  ];
  for (const [what, body, message] of bad) {
    it(`refuses ${what}`, async () => {
      const answer = await post(JSON.stringify(body));
      expect([answer.status, records.length]).to.deep.equal([400, 0]);
      expect(answer.body).to.contain(message);
    });
  }

  it("refuses what is no JSON, and who has no key", async () => {
    expect((await post("{half")).status).to.equal(400);
    expect((await post(JSON.stringify(event), "other")).status).to.equal(403);
    expect(records).to.deep.equal([]);
  });

  for (const [name, status, said] of [
    ["ProvisionedThroughputExceededException", 429, "More events came than the stream takes at once"],
    ["AccessDeniedException", 500, "not the caller's fault"],
    ["InternalFailureException", 503, "not available; try again later"],
  ] as const) {
    it(`answers ${status} to ${name}, and keeps to itself why`, async () => {
      failure = Object.assign(new Error("shard 17 of account 111122223333"), { name });
      const answer = await post(JSON.stringify(event));
      expect(answer.status).to.equal(status);
      expect(answer.body).to.contain(said).and.not.contain("17");
      expect(faults).to.deep.equal([failure]);
      // The caller sends it again, and it is there once.
      failure = undefined;
      expect((await post(JSON.stringify(event))).status).to.equal(200);
      expect(records).to.have.length(1);
    });
  }

  it("takes a mebibyte of data, as Kinesis does, and answers 413 to a byte more", async () => {
    const contract = await loadContract(path.join(contractsDir, "api_events.yaml"));
    const model = { ...requestModel(contract), properties: { text: { type: "string" } }, required: [] };
    const answer = ingestion({
      model,
      template,
      stream: "s",
      keys: new Set(["k"]),
      put: async () => "1",
      onFault: (error) => faults.push(error),
    });
    const room = (1 << 20) - JSON.stringify({ text: "" }).length;
    expect((await answer(JSON.stringify({ text: "x".repeat(room) }), "k")).status).to.equal(200);
    expect(await answer(JSON.stringify({ text: "x".repeat(room + 1) }), "k")).to.deep.equal({
      status: 413,
      body: { message: "The event is larger than the 1 MB that the stream takes" },
    });
  });

  it("throttles", async () => {
    const contract = await loadContract(path.join(contractsDir, "api_events.yaml"));
    const slow = await startIngestionApi({
      model: requestModel(contract),
      template,
      stream: "s",
      keys: new Set(["k"]),
      put: async () => "1",
      onFault: (error) => faults.push(error),
      throttle: { rate: 0.001, burst: 2 },
    });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      const headers = { "x-api-key": "k" };
      statuses.push((await fetch(slow.url, { method: "POST", body: JSON.stringify(event), headers })).status);
    }
    await slow.close();
    expect(statuses).to.deep.equal([200, 200, 429]);
  });

  it("refuses a template that uses what is not rendered here", () => {
    const input = { body: "{}", context: {}, stageVariables: {} };
    for (const text of ["$util.urlEncode('a')", "#foreach($a in $b)", "$context.identity", "$other"]) {
      expect(() => renderTemplate(text, input), text).to.throw("the mapping template uses");
    }
    expect(
      renderTemplate("#set($b = $input.json('$'))\n$util.escapeJavaScript($b)", {
        ...input,
        body: '{"a":"x"}',
      }),
    ).to.equal('{\\"a\\":\\"x\\"}');
  });
});
