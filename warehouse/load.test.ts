import { expect } from "chai";
import { contractsDir, loadAll } from "../contracts/bundle.ts";
import type { Contract } from "../contracts/contract.ts";
import { maxBatch, type RedshiftDataApi, SqlRunner, StatementError } from "./dataApi.ts";
import { type LoadTemplates, loadStatements, readLoadTemplates } from "./load.ts";
import { planMigration, type WarehouseState } from "./migrate.ts";
import { createTable, createView, hasWarehouse, type WarehouseContract } from "./tables.ts";
import { fill, statements } from "./template.ts";

describe("warehouse SQL", () => {
  let contracts: Contract[];
  let templates: LoadTemplates;
  const contract = (name: string): WarehouseContract => {
    const found = contracts.filter(hasWarehouse).find((candidate) => candidate.name === name);
    if (!found) throw new Error(`no contract ${name} with a warehouse table`);
    return found;
  };
  before(async () => {
    contracts = await loadAll([contractsDir]);
    templates = await readLoadTemplates();
  });

  it("fills every name of a template, and refuses a missing or unused value", () => {
    expect(fill("{{a}} and {{b}} and {{a}}", { a: "1", b: "2" })).to.equal("1 and 2 and 1");
    expect(() => fill("{{a}}", {})).to.throw("{{a}} has no value");
    expect(() => fill("{{a}}", { a: "1", b: "2" })).to.throw("nothing uses the value of b");
    expect(statements("-- why; because\nA;\n\nB;\n")).to.deep.equal(["A", "B"]);
  });

  it("loads in one transaction that fits a batch: by merge, or by replaced days", () => {
    const verbs = (name: string): string[] =>
      loadStatements(contract(name), "s3://b/exports/t/batch=1/", templates).map(
        (sql) => sql.split(" ")[0] ?? "",
      );
    expect(verbs("order_history")).to.deep.equal([
      "CREATE",
      "COPY",
      "CREATE",
      "DELETE",
      "DELETE",
      "DELETE",
      "MERGE",
    ]);
    expect(verbs("category_revenue")).to.deep.equal([
      "CREATE",
      "COPY",
      "CREATE",
      "CREATE",
      "DELETE",
      "DELETE",
      "INSERT",
    ]);
    expect(verbs("order_history").length).to.be.at.most(maxBatch);
  });

  it("does not let a path end the literal it stands in", () => {
    for (const wrong of ["s3://b/x'; DROP TABLE stage.t; --", "/local/x", "s3://b/", "s3://b/a b"]) {
      expect(() => loadStatements(contract("order_history"), wrong, templates), wrong).to.throw(
        "is no path of an export",
      );
    }
  });

  it("refuses a contract without a table", () => {
    const orders = contracts.find(({ name }) => name === "orders");
    if (!orders) throw new Error("no contract orders");
    expect(() => loadStatements(orders, "s3://b/x/", templates))
      .to.throw("contract 'orders'")
      .and.match(/no warehouse table/);
  });

  it("makes a table with the contract's types, its layout, and what each row came with", () => {
    const sql = createTable(contract("order_history"));
    expect(sql).to.contain('"order_id" VARCHAR(20) NOT NULL').and.contain('"net_amount_usd" DECIMAL(18,4)');
    expect(sql).to.contain("version_at TIMESTAMP NOT NULL").and.contain("batch_id VARCHAR(64) NOT NULL");
    expect(sql.endsWith('PRIMARY KEY ("order_id")\n) DISTKEY ("order_id") SORTKEY ("ordered_at")')).to.equal(
      true,
    );
    expect(createTable(contract("category_revenue"))).to.match(/DISTSTYLE AUTO SORTKEY \("revenue_date"\)$/);
  });

  it("refuses a view that would show nothing but personal data", () => {
    const history = contract("order_history");
    const secret = { ...history, columns: history.columns.filter(({ personal }) => personal) };
    expect(() => createView(secret)).to.throw("every column is personal");
  });

  it("plans schemas and roles once, with each transaction within the limit of the Data API", () => {
    const nothing: WarehouseState = {
      schemas: new Set(),
      roles: new Set(),
      users: new Set(),
      relations: new Map(),
    };
    const plan = (state: WarehouseState): string[][] =>
      planMigration(contracts, state, 'REVOKE TEMP ON DATABASE "{{database}}" FROM PUBLIC;', {
        database: "dev",
      });
    const first = plan(nothing);
    expect(first[0]?.slice(0, 5)).to.deep.equal([
      "CREATE SCHEMA stage",
      "CREATE SCHEMA mart",
      "CREATE ROLE loader",
      "CREATE ROLE bi_reader",
      'REVOKE TEMP ON DATABASE "dev" FROM PUBLIC',
    ]);
    for (const transaction of first) expect(transaction.length).to.be.at.most(maxBatch);
    const there = {
      ...nothing,
      schemas: new Set(["stage", "mart"]),
      roles: new Set(["loader", "bi_reader"]),
    };
    expect(plan(there)[0]).to.deep.equal(['REVOKE TEMP ON DATABASE "dev" FROM PUBLIC']);
    expect(() => planMigration(contracts, nothing, "{{database}}", { database: 'x"; DROP' })).to.throw(
      "is no name of a database",
    );
    const user = { database: "dev", members: { loader: ['x" SUPERUSER'] } };
    expect(() => planMigration(contracts, nothing, "{{database}}", user)).to.throw(
      "is no name of a database user",
    );
  });
});

describe("Data API runner", () => {
  /** An API whose statement passes through the given states. */
  function api(states: string[], pages: string[][] = []): RedshiftDataApi {
    const unused = (): never => {
      throw new Error("not called in this test");
    };
    return {
      batchExecuteStatement: async () => ({ Id: "1" }),
      executeStatement: pages.length > 0 ? async () => ({ Id: "1" }) : unused,
      describeStatement: async () => ({ Id: "1", Status: states.shift(), Error: "disk full" }),
      getStatementResult: async ({ NextToken }) => {
        const page = Number(NextToken ?? 0);
        const Records = (pages[page] ?? []).map((stringValue) => [
          { stringValue },
          { isNull: true },
          { longValue: 7 },
        ]);
        return { Records, ...(page + 1 < pages.length && { NextToken: String(page + 1) }) };
      },
    };
  }
  const pauses: number[] = [];
  const pause = async (ms: number): Promise<void> => {
    pauses.push(ms);
  };

  it("waits longer from time to time, until the statement ends", async () => {
    await new SqlRunner(api(["SUBMITTED", "PICKED", "STARTED", "FINISHED"]), {}, pause).run(["SELECT 1"]);
    expect(pauses).to.deep.equal([10, 20, 40]);
  });

  it("says why a statement failed or was aborted", async () => {
    for (const status of ["FAILED", "ABORTED"]) {
      const error = await new SqlRunner(api([status]), {}, pause)
        .run(["SELECT 1"])
        .catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(StatementError);
      expect(String(error)).to.contain(`statement 1 ${status}: disk full`).and.contain("SELECT 1");
    }
  });

  it("reads every page of a result", async () => {
    const rows = await new SqlRunner(api(["FINISHED"], [["a", "b"], ["c"]]), {}, pause).rows("SELECT 1");
    expect(rows).to.deep.equal([
      ["a", null, "7"],
      ["b", null, "7"],
      ["c", null, "7"],
    ]);
  });

  it("does not send more than the Data API takes", async () => {
    const error = await new SqlRunner(api([]))
      .run(Array(41).fill("SELECT 1"))
      .catch((reason: unknown) => reason);
    expect(String(error)).to.contain("41 statements in a transaction");
  });
});
