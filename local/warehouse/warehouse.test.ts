import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { type Contract, loadContract, parseContract } from "../../contracts/contract.ts";
import { SqlRunner } from "../../warehouse/dataApi.ts";
import { loadStatements, readLoadTemplates } from "../../warehouse/load.ts";
import { migrate } from "../../warehouse/migrate.ts";
import { hasWarehouse } from "../../warehouse/tables.ts";
import { contractsDir, loadAll } from "../../contracts/bundle.ts";
import { formatResult } from "./formatResult.ts";
import { Warehouse } from "./warehouse.ts";

const fixtures = path.join(import.meta.dirname, "fixtures");
const bucket = "securecart-test-staging";

/** What a promise was rejected with. */
async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("nothing was refused");
}

describe("local warehouse", function () {
  this.timeout(60_000);
  let dir = "";
  let lake = "";
  let warehouse: Warehouse;
  let sales: Contract;
  let totals: Contract;

  const rows = async (sql: string, as = "owner"): Promise<(string | null)[][]> =>
    (await warehouse.query(sql, { as })).rows.map((row) => [...row]);
  const runner = (as: string): SqlRunner => new SqlRunner(warehouse.dataApi(as));
  const migrated = (contracts: readonly Contract[]): Promise<string[]> =>
    migrate(runner("owner"), contracts, { database: warehouse.database });

  /** Puts a fixture where the export job would and returns the statements that load it. */
  async function load(contract: Contract, fixture: string): Promise<string[]> {
    const prefix = `exports/${contract.name}/batch=${fixture}`;
    await mkdir(path.join(lake, bucket, prefix), { recursive: true });
    await cp(path.join(fixtures, `${fixture}.parquet`), path.join(lake, bucket, prefix, "part-0.parquet"));
    await writeFile(path.join(lake, bucket, prefix, "_SUCCESS"), "");
    return loadStatements(contract, `s3://${bucket}/${prefix}/`, await readLoadTemplates());
  }
  const loaded = async (contract: Contract, fixture: string): Promise<void> =>
    runner("loader").run(await load(contract, fixture));

  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "warehouse-"));
    lake = path.join(dir, "lake");
    sales = await loadContract(path.join(fixtures, "sales.yaml"));
    totals = await loadContract(path.join(fixtures, "day_totals.yaml"));
    warehouse = await Warehouse.open({ dir: path.join(dir, "out", "warehouse"), lake });
    await migrated([sales, totals, ...(await loadAll([contractsDir]))]);
  });
  after(async () => {
    await warehouse.close();
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    await warehouse.query("DELETE FROM stage.sales", { as: "owner" });
    await warehouse.query("DELETE FROM stage.day_totals", { as: "owner" });
  });

  describe("COPY", () => {
    for (const [what, fixture] of [
      ["", "sales-types"],
      [" with 96-bit timestamps", "sales-types-int96"],
    ] as const) {
      it(`reads Spark's Parquet exactly: decimals, dates, timestamps, nulls, text${what}`, async () => {
        await loaded(sales, fixture);
        const [edge, empty] = await rows("SELECT * FROM stage.sales ORDER BY sale_id");
        expect(edge).to.deep.equal([
          ...["edge", "Zoë\tO'Neil\\ \n二", "äöüß", "BR", "-0.01", "99999999999999.9999"],
          ...[
            "-1234567890123456789012345678.0123456789",
            "-2147483648",
            "9007199254740993",
            "0.1",
            "true",
            "1969-12-31",
          ],
          ...["1969-12-31 23:59:59.999999", "2024-05-01 10:00:00.123456", "b1"],
        ]);
        expect(empty?.slice(1, 13)).to.deep.equal(Array(12).fill(null));
      });
    }

    it("refuses a file whose columns are not the table's, by count, name and type", async () => {
      const statements = await load(sales, "totals-b1");
      expect(await failure(runner("loader").run(statements))).to.contain(
        "the file has 6 columns, the table 16",
      );
      const create = "CREATE TEMP TABLE x (";
      const copy = statements.find((sql) => sql.startsWith("COPY"))?.replace("sales_batch", "x") ?? "";
      const tail = "version_at TIMESTAMP, batch_id VARCHAR(64), _op CHAR(1))";
      const swapped = `${create} category VARCHAR(20), day DATE, total DECIMAL(18,4), ${tail}`;
      expect(await failure(runner("loader").run([swapped, copy]))).to.contain(
        "column 1 is 'day' where 'category' is expected",
      );
      const narrower = `${create} day DATE, category VARCHAR(20), total DECIMAL(18,2), ${tail}`;
      expect(await failure(runner("loader").run([narrower, copy]))).to.contain(
        "column 'total' is numeric(18,4) where numeric(18,2) is expected",
      );
    });

    it("says that a prefix is not there, or what it holds is no Parquet", async () => {
      const missing = loadStatements(sales, `s3://${bucket}/exports/none/`, await readLoadTemplates());
      expect(await failure(runner("loader").run(missing))).to.contain(
        `the prefix s3://${bucket}/exports/none/ does not exist`,
      );
      const statements = await load(sales, "sales-b1");
      await writeFile(
        path.join(lake, bucket, "exports/sales/batch=sales-b1/part-1.parquet"),
        "this is text, not Parquet",
      );
      expect(await failure(runner("loader").run(statements))).to.contain("cannot be read as Parquet");
      await rm(path.join(lake, bucket, "exports/sales/batch=sales-b1/part-1.parquet"));
    });
  });

  it("refuses text that is no UTF-8 instead of loading a replacement for it", async () => {
    const statements = await load(sales, "sales-types");
    const file = path.join(lake, bucket, "exports/sales/batch=sales-types/part-0.parquet");
    const bytes = await readFile(file);
    bytes.writeUInt8(0xff, bytes.indexOf("äöüß"));
    await writeFile(file, bytes);
    expect(await failure(runner("loader").run(statements))).to.contain("cannot be read as Parquet");
  });

  it("says that it cannot be opened, and what to do", async () => {
    const file = path.join(dir, "a-file");
    await writeFile(file, "");
    expect(await failure(Warehouse.open({ dir: file, lake }))).to.contain(
      `the local warehouse ${file} cannot be opened`,
    );
  });

  describe("loads", () => {
    const state = (): Promise<(string | null)[][]> =>
      rows("SELECT sale_id, amount, version_at::DATE, batch_id FROM stage.sales ORDER BY sale_id");
    const afterSecond = [
      ["a", "12.0000", "2024-05-04", "b2"],
      ["b", "20.0000", "2024-05-02", "b1"],
      ["d", "40.0000", "2024-05-03", "b2"],
    ];

    it("merges by key: the newest of a batch wins, an older version does not overwrite, D deletes", async () => {
      await loaded(sales, "sales-b1");
      await loaded(sales, "sales-b2");
      expect(await state()).to.deep.equal(afterSecond);
      const double = "SELECT sale_id FROM stage.sales GROUP BY sale_id HAVING COUNT(*) > 1";
      expect(await rows(double)).to.deep.equal([]);
    });

    it("gives the same table when a batch is loaded twice, and when an old batch comes late", async () => {
      await loaded(sales, "sales-b1");
      for (const fixture of ["sales-b2", "sales-b2", "sales-old-delete"]) await loaded(sales, fixture);
      expect(await state()).to.deep.equal(afterSecond);
    });

    it("replaces whole days: a day that shrank, a day that is gone, others untouched; twice is the same", async () => {
      const days = (): Promise<(string | null)[][]> =>
        rows("SELECT day, category, total, batch_id FROM stage.day_totals ORDER BY 1, 2");
      const expected = [
        ["2024-05-01", "x", "1.7500", "b2"],
        ["2024-05-03", "x", "4.5000", "b1"],
        ["2024-05-04", "z", "9.0000", "b2"],
      ];
      await loaded(totals, "totals-b1");
      expect(await days()).to.have.length(4);
      await loaded(totals, "totals-b2");
      expect(await days()).to.deep.equal(expected);
      await loaded(totals, "totals-b2");
      expect(await days()).to.deep.equal(expected);
    });

    it("does not let an older batch overwrite the days of a newer one", async () => {
      await loaded(totals, "totals-b2");
      await loaded(totals, "totals-b1");
      expect(await rows("SELECT day, category, batch_id FROM stage.day_totals ORDER BY 1, 2")).to.deep.equal([
        ["2024-05-01", "x", "b2"],
        ["2024-05-02", "x", "b1"],
        ["2024-05-03", "x", "b1"],
        ["2024-05-04", "z", "b2"],
      ]);
    });

    it("counts VARCHAR in bytes, and leaves the table as it was when a statement fails", async () => {
      await loaded(sales, "sales-b1");
      const before = await state();
      expect(await failure(loaded(sales, "sales-bytes"))).to.contain("note: at most 8 bytes");
      expect(await state()).to.deep.equal(before);
      const statements = await load(sales, "sales-b2");
      expect(
        await failure(runner("loader").run([...statements, "SELECT nothing FROM stage.sales"])),
      ).to.contain('column "nothing" does not exist');
      expect(await state()).to.deep.equal(before);
      expect(await failure(runner("loader").run([...statements, "TRUNCATE stage.sales"]))).to.contain(
        "TRUNCATE",
      );
      expect(await state()).to.deep.equal(before);
    });

    it("renders and runs for every contract with a warehouse table", async () => {
      const contracts = (await loadAll([contractsDir])).filter(hasWarehouse);
      expect(contracts.map(({ name }) => name)).to.include.members([
        "order_history",
        "category_revenue",
        "campaigns",
      ]);
      for (const contract of contracts) {
        const statements = loadStatements(contract, "s3://bucket/exports/x/", await readLoadTemplates());
        // Without the file: the other statements run on an empty batch.
        await runner("loader").run(statements.filter((sql) => !sql.startsWith("COPY")));
      }
    });
  });

  describe("Data API", () => {
    it("runs a client token once, also after the warehouse was closed and opened again", async () => {
      const place = path.join(dir, "again");
      let again = await Warehouse.open({ dir: place, lake });
      const setUp = new SqlRunner(again.dataApi("owner"));
      await setUp.run(["CREATE SCHEMA s", "CREATE TABLE s.t (a INTEGER)"]);
      const insert = { Sqls: ["INSERT INTO s.t (a) VALUES (1)"], ClientToken: "token" };
      const first = await again.dataApi("owner").batchExecuteStatement(insert);
      const second = await again.dataApi("owner").batchExecuteStatement(insert);
      expect(second.Id).to.equal(first.Id);
      const long = { ...insert, ClientToken: "x".repeat(65) };
      expect(await failure(again.dataApi("owner").batchExecuteStatement(long))).to.contain(
        "1 to 64 are allowed",
      );
      await again.close();
      again = await Warehouse.open({ dir: place, lake });
      const third = await again.dataApi("owner").batchExecuteStatement(insert);
      expect(third.Id).to.equal(first.Id);
      const description = await again.dataApi("owner").describeStatement({ Id: String(third.Id) });
      expect(description.Status).to.equal("FINISHED");
      expect((await again.query("SELECT a FROM s.t", { as: "owner" })).rows).to.deep.equal([["1"]]);
      const other = { Sqls: ["INSERT INTO s.t (a) VALUES (2)"], ClientToken: "token" };
      expect(await failure(again.dataApi("owner").batchExecuteStatement(other))).to.contain(
        "was used for other statements",
      );
      await again.close();
    });

    it("tells how a statement ended, with the database's reason, and keeps temporary tables to their session", async () => {
      const api = warehouse.dataApi("owner");
      const { Id } = await api.executeStatement({ Sql: "SELECT 1 / 0" });
      let status = await api.describeStatement({ Id: String(Id) });
      for (; status.Status === "STARTED"; status = await api.describeStatement({ Id: String(Id) })) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(status).to.deep.equal({ Id, Status: "FAILED", Error: "ERROR: division by zero" });
      expect(await failure(api.describeStatement({ Id: "none" }))).to.equal("there is no statement none");
      await runner("owner").run(["CREATE TEMP TABLE only_here (a INTEGER)"]);
      expect(await failure(rows("SELECT a FROM only_here"))).to.contain(
        'relation "only_here" does not exist',
      );
      expect(await failure(api.batchExecuteStatement({ Sqls: [] }))).to.contain("1 to 40 are allowed");
    });

    it("gives results typed as the Data API does", async () => {
      const api = warehouse.dataApi("owner");
      const { Id } = await api.executeStatement({
        Sql: "SELECT 1 AS n, 1.50 AS d, TRUE AS b, NULL AS x, 'é' AS s",
      });
      while ((await api.describeStatement({ Id: String(Id) })).Status === "STARTED") {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const { Records, ColumnMetadata } = await api.getStatementResult({ Id: String(Id) });
      expect(Records).to.deep.equal([
        [
          { longValue: 1 },
          { stringValue: "1.50" },
          { booleanValue: true },
          { isNull: true },
          { stringValue: "é" },
        ],
      ]);
      expect(ColumnMetadata?.map(({ name }) => name)).to.deep.equal(["n", "d", "b", "x", "s"]);
    });
  });

  describe("privileges", () => {
    before(async () => {
      await runner("owner").run(["CREATE ROLE nobody", "CREATE TABLE mart.secret (a INTEGER)"]);
    });
    beforeEach(() => loaded(sales, "sales-b1"));

    const actions = {
      "read mart.sales": "SELECT COUNT(*) FROM mart.sales",
      "read mart.order_history": "SELECT COUNT(*) FROM mart.order_history",
      "read a table of mart without a grant": "SELECT a FROM mart.secret",
      "read stage.sales": "SELECT COUNT(*) FROM stage.sales",
      "insert into stage.sales":
        "INSERT INTO stage.sales (sale_id, version_at, batch_id) VALUES ('z', '2024-01-01', 'b')",
      "update stage.sales": "UPDATE stage.sales SET note = 'x' WHERE sale_id = 'none'",
      "delete from stage.sales": "DELETE FROM stage.sales WHERE sale_id = 'none'",
      "delete from mart.sales": "DELETE FROM mart.sales",
      "update mart.sales": "UPDATE mart.sales SET note = 'x'",
      "create in public": "CREATE TABLE public.t (a INTEGER)",
      "create in stage": "CREATE TABLE stage.t (a INTEGER)",
      "create in mart": "CREATE TABLE mart.t (a INTEGER)",
      "create a view in mart": "CREATE VIEW mart.v AS SELECT sale_id FROM mart.sales",
      "create a temporary table": "CREATE TEMP TABLE t (a INTEGER)",
      "create a schema": "CREATE SCHEMA x",
      "create a role": "CREATE ROLE x",
      "drop stage.sales": "DROP TABLE stage.sales",
      "add a column": "ALTER TABLE stage.sales ADD COLUMN more INTEGER",
    };
    const allowed: Record<string, (keyof typeof actions)[]> = {
      bi_reader: ["read mart.sales", "read mart.order_history"],
      loader: [
        "read stage.sales",
        "insert into stage.sales",
        "update stage.sales",
        "delete from stage.sales",
        "create a temporary table",
      ],
      nobody: [],
    };
    for (const [role, mayDo] of Object.entries(allowed)) {
      for (const [action, sql] of Object.entries(actions)) {
        const may = mayDo.some((name) => name === action);
        it(`${role} ${may ? "may" : "may not"} ${action}`, async () => {
          if (may) await warehouse.query(sql, { as: role });
          else
            expect(await failure(warehouse.query(sql, { as: role }))).to.match(
              /permission denied|must be owner|cannot (delete from|update) view/,
            );
        });
      }
    }

    it("lets the loader hand on nothing", async () => {
      // Without a grant option the statement passes with a warning, as in Redshift, and grants nothing.
      await warehouse.query("GRANT SELECT ON stage.sales TO ROLE bi_reader", { as: "loader" });
      expect(await failure(rows("SELECT COUNT(*) FROM stage.sales", "bi_reader"))).to.contain(
        "permission denied",
      );
    });

    it("keeps COPY to the loader", async () => {
      const copy = (await load(sales, "sales-b1")).find((sql) => sql.startsWith("COPY")) ?? "";
      const direct = copy.replace("sales_batch", "stage.sales");
      for (const role of ["bi_reader", "nobody"]) {
        expect(await failure(warehouse.query(direct, { as: role }))).to.contain("permission denied");
      }
    });

    it("shows bi_reader no personal column of any contract by any view", async () => {
      const contracts = [...(await loadAll([contractsDir])), sales].filter(hasWarehouse);
      const personal = contracts.flatMap((contract) =>
        contract.columns
          .filter((column) => column.personal)
          .map((column) => `${contract.warehouse.table}.${column.name}`),
      );
      expect(personal).to.include.members([
        "sales.buyer",
        "order_history.customer_name",
        "order_history.ip_address",
      ]);
      const views = await rows("SELECT table_name, column_name FROM svv_columns WHERE table_schema = 'mart'");
      const shown = views.map(([table, column]) => `${table}.${column}`);
      expect(shown).to.include("order_history.order_id");
      expect(shown.filter((name) => personal.includes(name))).to.deep.equal([]);
      for (const name of personal) {
        const [table, column] = name.split(".");
        expect(await failure(rows(`SELECT ${column} FROM mart.${table}`, "bi_reader"))).to.contain(
          "does not exist",
        );
        expect(await failure(rows(`SELECT ${column} FROM stage.${table}`, "bi_reader"))).to.contain(
          "permission denied",
        );
      }
      expect(shown.filter((name) => /\.(version_at|batch_id|_op)$/.test(name))).to.deep.equal([]);
    });

    it("names the roles when one is not there", async () => {
      expect(await failure(rows("SELECT 1", "bi_readr"))).to.equal(
        "the warehouse has no role 'bi_readr'; there are owner, bi_reader, loader, nobody",
      );
      expect(await failure(rows("SELECT 1", "postgres"))).to.contain("has no role 'postgres'");
    });
  });

  describe("migration", () => {
    it("adds a column of a contract to table and view, keeps the rows, and runs again without a change", async () => {
      await loaded(sales, "sales-b1");
      await warehouse.query("DELETE FROM stage.day_totals", { as: "owner" });
      const wider = JSON.stringify(totals.document).replace(
        '{"name":"total"',
        '{"name":"orders","logicalType":"integer","physicalType":"bigint"},{"name":"buyer","physicalType":"varchar(9)","classification":"personal"},{"name":"total"',
      );
      await loaded(totals, "totals-b1");
      const changed = parseContract("day_totals.yaml", wider);
      const statements = await migrated([changed]);
      expect(statements).to.include('ALTER TABLE stage.day_totals ADD COLUMN "orders" BIGINT');
      expect(statements).to.include("DROP VIEW mart.day_totals");
      const view = "SELECT * FROM mart.day_totals WHERE category = 'y'";
      const { columns, rows: found } = await warehouse.query(view, { as: "bi_reader" });
      expect(columns.map(({ name }) => name)).to.deep.equal(["day", "category", "orders", "total"]);
      expect(found).to.deep.equal([["2024-05-01", "y", null, "2.5000"]]);
      const again = await migrated([changed]);
      expect(again.filter((sql) => /^(CREATE|ALTER|DROP)/.test(sql))).to.deep.equal([]);
    });

    it("refuses another type and a new key, and changes nothing", async () => {
      const retyped = JSON.stringify(sales.document).replace("varchar(8)", "varchar(9)");
      expect(await failure(migrated([parseContract("sales.yaml", retyped)]))).to.contain(
        "sales.yaml: column 'note' is VARCHAR(9) but VARCHAR(8) in stage.sales; a migration only adds",
      );
      const keyed = JSON.stringify(sales.document).replace(
        '{"name":"buyer"',
        '{"name":"line","physicalType":"int","required":true,"primaryKey":true,"primaryKeyPosition":2},{"name":"buyer"',
      );
      expect(await failure(migrated([parseContract("sales.yaml", keyed)]))).to.contain(
        "column 'line' is matched by loads",
      );
      expect(
        await rows("SELECT column_name FROM svv_columns WHERE table_name = 'sales' AND column_name = 'line'"),
      ).to.deep.equal([]);
    });

    it("creates the users of IAM roles before it grants them a role", async () => {
      const statements = await migrate(runner("owner"), [sales], {
        database: warehouse.database,
        members: { bi_reader: ["IAMR:securecart-bi"] },
      });
      const created = statements.indexOf('CREATE USER "IAMR:securecart-bi" PASSWORD DISABLE');
      expect(created).to.be.at.least(0);
      expect(statements.indexOf('GRANT ROLE bi_reader TO "IAMR:securecart-bi"')).to.be.above(created);
      expect(await rows("SELECT COUNT(*) FROM mart.sales", "IAMR:securecart-bi")).to.deep.equal([["0"]]);
      expect(await failure(rows("SELECT COUNT(*) FROM stage.sales", "IAMR:securecart-bi"))).to.contain(
        "permission denied",
      );
    });
  });

  it("prints a result as a table", async () => {
    const result = await warehouse.query("SELECT 'a' AS name, 1.50 AS amount, NULL AS nothing", {
      as: "owner",
    });
    expect(formatResult(result)).to.equal(
      ["name  amount  nothing", "────  ──────  ───────", "a       1.50  NULL", "(1 row)"].join("\n"),
    );
  });
});
