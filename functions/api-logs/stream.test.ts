import { expect } from "chai";
import fc from "fast-check";
import { EventSourceMapping, type Invoke } from "../../local/adapters/eventSourceMapping.ts";
import { formatReport, redrive } from "../redrive/redrive.ts";
import { ApiLogsBench, arrival } from "../testing/apiLogs.ts";
import { sequenceOf, streamRecord } from "../testing/kinesis.ts";
import { rejection } from "../testing/rejection.ts";
import type { CustomerSegments } from "./enrich.ts";

const event = (id: string, extra: object = {}): string =>
  JSON.stringify({
    request_id: id,
    timestamp: "2026-03-01T11:00:00Z",
    client_ip: "8.8.8.8",
    method: "GET",
    path: "/x",
    status: 200,
    ...extra,
  });

const failures = "test-failures";

/** Segments whose store fails for some customers until it is mended. */
class BrokenSegments implements CustomerSegments {
  broken = new Set<string>();

  async of(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    for (const id of ids) {
      if (this.broken.has(id))
        throw new Error(`AccessDeniedException: not authorized to read segment of ${id}`);
    }
    return new Map([...ids].map((id) => [id, "loyal"]));
  }
}

describe("API logs: the stream", () => {
  let bench: ApiLogsBench;
  let segments: BrokenSegments;
  const invoke: Invoke = async (batch) => (await bench.stream(batch)).response;
  const mapping = (through: Invoke, batchSize = 10, bisect = true): EventSourceMapping =>
    new EventSourceMapping(through, {
      batchSize,
      bisect,
      maximumRetryAttempts: 2,
      failures: { store: bench.store, bucket: failures },
    });
  beforeEach(async () => {
    segments = new BrokenSegments();
    bench = await ApiLogsBench.start(segments);
  });
  afterEach(() => bench.stop());

  it("writes one object a batch, named by shard and first sequence number, in the partition of the arrival", async () => {
    const records = [0, 1, 2].map((index) =>
      streamRecord(index, event(`e${index}`, { customer_id: "C1" }), arrival),
    );
    const { counts, objects, response } = await bench.stream({ Records: records });
    expect(response).to.deep.equal({ batchItemFailures: [] });
    expect(counts.accepted).to.equal(3);
    expect(objects).to.deep.equal([
      `s3://test-curated/logs/api_events/arrival_date=2026-03-01/arrival_hour=12/shardId-000000000000-${sequenceOf(0)}.parquet`,
    ]);
    const rows = await bench.rows();
    expect(rows.map((row) => [row.source_object, row.source_sequence, row.customer_segment])).to.deep.equal(
      [0, 1, 2].map((index) => ["api-events/shardId-000000000000", sequenceOf(index), "loyal"]),
    );
  });

  it("keeps the records before the first that failed, and asks for the rest", async () => {
    segments.broken.add("C3");
    const records = [0, 1, 2, 3, 4].map((index) =>
      streamRecord(index, event(`e${index}`, { customer_id: `C${index}` }), arrival),
    );
    const { counts, response, errors } = await bench.stream({ Records: records });
    expect(response.batchItemFailures).to.deep.equal([{ itemIdentifier: sequenceOf(3) }]);
    expect(counts.received).to.equal(3);
    expect(errors[0]?.message).to.contain("AccessDenied");
    expect((await bench.rows()).map((row) => row.event_id)).to.deep.equal(["e0", "e1", "e2"]);
  });

  it("answers that all failed without throwing, so that only bounded retries end it", async () => {
    segments.broken.add("C");
    const { response, objects } = await bench.stream({
      Records: [streamRecord(7, event("e", { customer_id: "C" }), arrival)],
    });
    expect(response.batchItemFailures).to.deep.equal([{ itemIdentifier: sequenceOf(7) }]);
    expect(objects).to.deep.equal([]);
  });

  it("quarantines what a record holds, and never fails for it", async () => {
    const contents = [
      event("good"),
      "{half",
      "",
      Buffer.from([0xff, 0xfe]),
      event("big", { message: "x".repeat(5_000_000) }),
      event("key", { customer_id: "c".repeat(3_000) }),
      `${event("two")}\n${event("three")}\r\n`,
      event("good"),
    ];
    const { counts, response } = await bench.stream({
      Records: contents.map((content, index) => streamRecord(index, content, arrival)),
    });
    expect(response.batchItemFailures).to.deep.equal([]);
    expect(counts).to.deep.equal({
      received: 9,
      accepted: 3,
      duplicates: 1,
      quarantined: {
        BAD_JSON: 1,
        EMPTY_RECORD: 1,
        BAD_ENCODING: 1,
        RECORD_TOO_LONG: 1,
        TOO_LONG_CUSTOMER_ID: 1,
      },
    });
    expect((await bench.refused()).map((row) => row.reason)).to.have.members(Object.keys(counts.quarantined));
  });

  it("brings poison records to the failure destination, and redrive heals them: counts add up", async () => {
    segments.broken = new Set(["C13", "C14", "C40"]);
    const records = Array.from({ length: 60 }, (_, index) =>
      streamRecord(
        index,
        index === 20 ? "no json" : event(`e${index}`, { customer_id: `C${index}` }),
        arrival + index * 120_000,
      ),
    );
    await mapping(invoke, 25).deliver(records);
    const before = await bench.rows();
    expect(before).to.have.length(60 - 1 - 3);
    expect(await bench.store.list(failures, "aws/lambda/")).to.have.length(3);

    const blocked = await redrive({ store: bench.store, deliver: invoke }, { bucket: failures });
    expect([blocked.records, blocked.succeeded, blocked.failed]).to.deep.equal([3, 0, 3]);
    segments.broken.clear();
    const healed = await redrive({ store: bench.store, deliver: invoke }, { bucket: failures });
    expect([healed.records, healed.succeeded, healed.failed]).to.deep.equal([3, 3, 0]);
    const again = await redrive({ store: bench.store, deliver: invoke }, { bucket: failures });
    expect(again.objects.every(({ already }) => already)).to.equal(true);
    expect(formatReport(again)).to.contain("3 of 3 records delivered, 0 failed");

    const ids = (await bench.rows()).map((row) => row.event_id);
    expect(ids).to.have.length(59);
    expect(new Set(ids).size).to.equal(59);
    expect(await bench.refused()).to.have.length(1);
  });

  it("says of a failure destination what is no failed batch, and goes on", async () => {
    await bench.store.putText(failures, "aws/lambda/a", "{}");
    await bench.store.putText(
      failures,
      "aws/lambda/b",
      JSON.stringify({ payload: { Records: [streamRecord(1, event("b"), arrival)] } }),
    );
    const report = await redrive({ store: bench.store, deliver: invoke }, { bucket: failures });
    expect(report.objects.map(({ succeeded }) => succeeded)).to.deep.equal([0, 1]);
    expect(report.objects[0]?.error).to.contain("payload");
  });

  it("fails the whole batch when it cannot write", async () => {
    const Records = [streamRecord(1, event("e"), arrival)];
    await bench.stream({ Records });
    bench.store.putFile = () => Promise.reject(new Error("SlowDown"));
    expect((await rejection(bench.stream({ Records }))).message).to.equal("SlowDown");
    expect(await bench.rows(), "what was written before").to.have.length(1);
  });

  it("has every record exactly once however batches are cut, answers get lost and stores fail (property)", async () => {
    const scenario = fc.record({
      records: fc.array(
        fc.record({
          kind: fc.constantFrom("good", "good", "good", "bad", "poison", "duplicate"),
          hours: fc.constantFrom(0, 0, 0, 1, 2),
        }),
        { minLength: 1, maxLength: 40 },
      ),
      batchSize: fc.integer({ min: 1, max: 15 }),
      bisect: fc.boolean(),
      // What becomes of each invocation: fine, the answer is lost after everything was written, or nothing happens.
      fates: fc.array(fc.constantFrom("fine", "fine", "lost", "crash"), { maxLength: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ records, batchSize, bisect, fates }) => {
        const own = new BrokenSegments();
        own.broken.add("poison");
        const inner = await ApiLogsBench.start(own);
        try {
          let calls = 0;
          const deliver: Invoke = async (batch) => (await inner.stream(batch)).response;
          const flaky: Invoke = async (batch) => {
            const fate = fates[calls++] ?? "fine";
            if (fate === "crash") throw new Error("crash");
            const answer = await deliver(batch);
            if (fate === "lost") throw new Error("timeout");
            return answer;
          };
          const sent = records.map(({ kind, hours }, index) => {
            const customer = kind === "poison" ? { customer_id: "poison" } : {};
            const id = kind === "duplicate" ? "same" : `e${index}`;
            return streamRecord(
              index,
              kind === "bad" ? "{" : event(id, customer),
              arrival + hours * 3_600_000,
            );
          });
          await new EventSourceMapping(flaky, {
            batchSize,
            bisect,
            maximumRetryAttempts: 3,
            failures: { store: inner.store, bucket: failures },
          }).deliver(sent);
          own.broken.clear();
          const report = await redrive({ store: inner.store, deliver }, { bucket: failures });
          expect(report.failed).to.equal(0);
          const rows = await inner.rows();
          const sequences = rows.map((row) => row.source_sequence);
          expect(new Set(sequences).size, "a row twice").to.equal(sequences.length);
          const refused = (await inner.refused()).map((row) => row.source_object);
          expect(new Set(refused).size, "a refused record twice").to.equal(refused.length);
          const count = (kind: string): number => records.filter((record) => record.kind === kind).length;
          expect(refused.length).to.equal(count("bad"));
          const unique = rows.filter((row) => row.event_id !== "same");
          expect(unique.length).to.equal(count("good") + count("poison"));
          // How many copies of an event its producer sent twice are left depends on where batches were cut.
          const copies = rows.length - unique.length;
          expect(copies).to.be.within(Math.min(1, count("duplicate")), count("duplicate"));
        } finally {
          await inner.stop();
        }
      }),
      { numRuns: 40, endOnFailure: true },
    );
  }).timeout(120_000);
});
