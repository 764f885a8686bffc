import { expect } from "chai";
import { contractsBundle, contractsDir } from "../../contracts/bundle.ts";
import { type LoadTemplates, readLoadTemplates } from "../../warehouse/load.ts";
import { renderLoad, together } from "./handler.ts";

describe("render-load", () => {
  let bundle: string;
  let templates: LoadTemplates;
  before(async () => {
    bundle = JSON.stringify(await contractsBundle([contractsDir]));
    templates = await readLoadTemplates();
  });

  /** The loads of a batch whose export job wrote `metrics`. */
  async function render(metrics: string, event: unknown = { batchId: "b1" }) {
    const objects = new Map([
      ["staging/runs/b1/export.json", metrics],
      ["artifacts/contracts.json", bundle],
    ]);
    const store = {
      getText: async (bucket: string, key: string): Promise<string> => {
        const text = objects.get(`${bucket}/${key}`);
        if (text === undefined) throw new Error(`s3://${bucket}/${key} does not exist`);
        return text;
      },
    };
    return renderLoad(event, { store, staging: "staging", artifacts: "artifacts", templates });
  }
  const failure = (metrics: string, event?: unknown): Promise<string> =>
    render(metrics, event).then(
      () => "nothing was refused",
      (error: unknown) => String(error),
    );
  const path = "s3://staging/exports/order_history/batch=b1/";

  it("renders a load for each table with rows, and none for a table without", async () => {
    const datasets = { order_history: { rows: 12, path, files: 1 }, campaigns: { rows: 0, path } };
    const { loads } = await render(JSON.stringify({ step: "export", datasets }));
    expect(loads.map(({ table, rows }) => ({ table, rows }))).to.deep.equal([
      { table: "order_history", rows: 12 },
    ]);
    expect(loads[0]?.statements[1]).to.equal(
      `COPY order_history_batch FROM '${path}' IAM_ROLE default FORMAT AS PARQUET`,
    );
    expect(loads[0]?.statements.at(-1)).to.match(
      /^MERGE INTO stage\.order_history USING order_history_latest ON/,
    );
  });

  it("puts all tables of a batch into one transaction", async () => {
    const datasets = { order_history: { rows: 12, path }, campaigns: { rows: 3, path } };
    const { loads } = await render(JSON.stringify({ step: "export", datasets }));
    expect(loads.map(({ table, rows }) => ({ table, rows }))).to.deep.equal([
      { table: "order_history+campaigns", rows: 15 },
    ]);
    const copied = loads[0]?.statements.filter((statement) => statement.startsWith("COPY"));
    expect(copied).to.have.length(2);
  });

  it("begins another transaction when the limit of statements is reached", () => {
    const load = (table: string, count: number) => ({
      table,
      rows: 1,
      statements: Array(count).fill("SELECT 1"),
    });
    const packed = together([load("a", 30), load("b", 10), load("c", 1), load("d", 39), load("e", 2)]);
    expect(packed.map(({ table, statements }) => [table, statements.length])).to.deep.equal([
      ["a+b", 40],
      ["c+d", 40],
      ["e", 2],
    ]);
  });

  it("says what is wrong with its input", async () => {
    expect(await failure("{}", {})).to.contain("batchId");
    expect(await failure("{}", { batchId: "../x" })).to.contain("batchId");
    expect(await failure("{}")).to.contain("s3://staging/runs/b1/export.json is not what was expected");
    expect(await failure("{")).to.contain("s3://staging/runs/b1/export.json is no JSON");
    expect(await failure("{}", { batchId: "b2" })).to.contain(
      "s3://staging/runs/b2/export.json does not exist",
    );
    const unknown = JSON.stringify({ datasets: { ordres: { rows: 1, path } } });
    expect(await failure(unknown)).to.contain("no contract has the warehouse table 'ordres'");
  });
});
