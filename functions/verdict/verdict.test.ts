import { expect } from "chai";
import { TestPipeline } from "../testing/pipeline.ts";

const batch = "20260301T120000Z-0a1b2c3d";
const metrics = (step: string, datasets: object, more: object = {}) => ({
  step,
  started_at: "2026-03-01T12:00:00Z",
  ended_at: "2026-03-01T12:10:00Z",
  datasets,
  ...more,
});

describe("verdict", () => {
  let pipeline: TestPipeline;
  beforeEach(async () => {
    pipeline = await TestPipeline.start();
    await put("csv_to_parquet", metrics("csv_to_parquet", { transactions: { read: 10 } }));
    await put(
      "clean",
      cleaned({ read: 10, loaded: 7, deduplicated: { exact_copy: 2 }, quarantined: { BAD_JSON: 1 } }),
    );
    await put("quality", metrics("quality", {}, { verdict: "PASS", reasons: [], rules: [] }));
  });
  afterEach(() => pipeline.stop());

  const put = (name: string, content: object | string) => pipeline.putRunFile(batch, `${name}.json`, content);
  const cleaned = (transactions: object) => metrics("clean", { transactions });

  it("passes a batch whose gate passed and whose records add up", async () => {
    expect(await pipeline.verdict(batch)).to.deep.equal({ verdict: "PASS", reasons: [] });
  });

  it("fails with the gate's reasons", async () => {
    await put(
      "quality",
      metrics("quality", {}, { verdict: "FAIL", reasons: ["transactions: 60 % rejected"] }),
    );
    expect(await pipeline.verdict(batch)).to.deep.equal({
      verdict: "FAIL",
      reasons: ["transactions: 60 % rejected"],
    });
  });

  it("fails when records were lost or made up, and says how many", async () => {
    await put(
      "clean",
      cleaned({ read: 10, loaded: 5, deduplicated: { exact_copy: 2 }, quarantined: { BAD_JSON: 1 } }),
    );
    expect(await pipeline.verdict(batch)).to.deep.equal({
      verdict: "FAIL",
      reasons: [
        "transactions: 10 records were read, but 5 loaded + 2 deduplicated + 1 quarantined = 8: 2 were lost",
      ],
    });
    await put("clean", cleaned({ read: 10, loaded: 11 }));
    expect((await pipeline.verdict(batch)).reasons[0]).to.contain("1 too many");
  });

  it("compares with what the extraction read, not with what cleaning found", async () => {
    await put("clean", cleaned({ read: 9, loaded: 9 }));
    expect((await pipeline.verdict(batch)).reasons[0])
      .to.contain("10 records were read")
      .and.to.contain("1 were lost");
  });

  it("fails when an extracted dataset was never cleaned", async () => {
    await put("extract_mysql", metrics("extract_mysql", { customers: { read: 4, keys: 2 } }));
    const { verdict, reasons } = await pipeline.verdict(batch);
    expect(verdict).to.equal("FAIL");
    expect(reasons).to.deep.equal([
      "customers: 4 records were read, but 0 loaded + 0 deduplicated + 0 quarantined = 0: 4 were lost",
    ]);
  });

  it("fails without a quality result, without counts, and with files that cannot be read", async () => {
    const other = "20260301T130000Z-0a1b2c3d";
    const { verdict, reasons } = await pipeline.verdict(other);
    expect(verdict).to.equal("FAIL");
    expect(reasons.join("\n"))
      .to.contain(`s3://test-staging/runs/${other}/quality.json`)
      .and.to.contain("no step left");
    await pipeline.putRunFile(other, "quality.json", "{");
    const broken = await pipeline.verdict(other);
    expect(broken.verdict).to.equal("FAIL");
    expect(broken.reasons.join("\n"))
      .to.contain("quality.json cannot be read")
      .and.to.contain("quality.json is no JSON");
  });

  it("fails on counts that are no counts, and names the file", async () => {
    await put("clean", cleaned({ read: -1 }));
    const { verdict, reasons } = await pipeline.verdict(batch);
    expect(verdict).to.equal("FAIL");
    expect(reasons[0]).to.contain("clean.json holds no valid metrics").and.to.contain("transactions.read");
  });
});
