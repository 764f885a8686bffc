import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { expect } from "chai";
import parquet from "parquetjs-lite";
import { parseColumnType } from "../../contracts/types.ts";
import { quarantineTable } from "../../infra/pipeline/catalog.ts";
import { readParquet } from "../testing/apiLogs.ts";
import { type ParquetColumn, ParquetFile, type Value } from "./parquet.ts";
import { quarantineColumns } from "./tables.ts";

const column = (name: string, type: string, required = false): ParquetColumn => {
  const parsed = parseColumnType(type);
  if (!parsed) throw new Error(type);
  return { name, type: parsed, required };
};

const columns = [
  column("id", "bigint", true),
  column("text", "varchar(100)"),
  column("code", "char(3)", true),
  column("number", "int"),
  column("share", "double"),
  column("flag", "boolean"),
  column("day", "date"),
  column("at", "timestamp"),
];

const texts = [
  "plain",
  "",
  "caf\u00e9",
  "\u65e5\u672c\u8a9e",
  "\ud83d\ude00 smile",
  'say "hi"\n\ttab',
  "\ufffd",
  "\u0000",
];

/** Rows with every type, nulls here and there, and texts beyond ASCII. */
function rowsOf(count: number): Value[][] {
  return Array.from({ length: count }, (_, index) => [
    index * 1_000_003,
    index % 7 === 0 ? null : (texts[index % texts.length] ?? ""),
    ["abc", "\u00e9", "x"][index % 3] ?? "",
    index % 5 === 0 ? null : index - 1000,
    index % 3 === 0 ? null : index / 8,
    index % 4 === 0 ? null : index % 2 === 0,
    index % 6 === 0 ? null : 20_000 + (index % 500),
    index % 9 === 0 ? null : 1_772_000_000_000_000 + index * 1_234_567,
  ]);
}

/** A row as text, the same whoever read it. */
const shown = (row: readonly Value[]): string => JSON.stringify(row);

// The reader says numbers for times, so that no library's idea of a date stands between.
const python = `
import json, sys
import pyarrow as pa, pyarrow.parquet as pq
t = pq.read_table(sys.argv[1])
cast = {"day": pa.int32(), "at": pa.int64()}
t = pa.table({n: (t[n].cast(cast[n]) if n in cast else t[n]) for n in t.column_names})
for row in t.to_pylist():
    print(json.dumps(list(row.values())))
`;

async function withPyarrow(file: string): Promise<string[]> {
  const output = execFileSync("python", ["-c", python, file], { encoding: "utf8", maxBuffer: 1 << 28 });
  return output
    .trimEnd()
    .split("\n")
    .map((line) => shown(JSON.parse(line)));
}

async function withDuckdb(file: string): Promise<string[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const result = await connection.runAndReadAll(
    `SELECT id, text, code, number, share, flag, day - DATE '1970-01-01', epoch_us("at") FROM read_parquet('${file}')`,
  );
  return result
    .getRows()
    .map((row) => shown(row.map((value) => (typeof value === "bigint" ? Number(value) : value)) as Value[]));
}

async function withHyparquet(file: string): Promise<string[]> {
  const rows = await readParquet(file);
  return rows.map((row) =>
    shown(
      columns.map(({ name }) => {
        const value = row[name];
        if (value instanceof Date) return name === "day" ? value.getTime() / 86_400_000 : value.getTime();
        return typeof value === "bigint" ? Number(value) : ((value ?? null) as Value);
      }),
    ),
  );
}

describe("Parquet writer", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "securecart-"));
  });
  after(() => rm(folder, { recursive: true }));

  async function write(name: string, rows: readonly Value[][]): Promise<string> {
    const file = path.join(folder, name);
    const writer = await ParquetFile.create(columns, createWriteStream(file), { contract: "test" });
    for (const row of rows) await writer.append(row);
    await writer.close();
    return file;
  }

  // 2,048 rows are a page and 16,384 a row group: the counts are around both.
  for (const count of [1, 2_049, 16_500]) {
    it(`is read with equal values by pyarrow, DuckDB and hyparquet: ${count} rows`, async () => {
      const rows = rowsOf(count);
      const file = await write(`${count}.parquet`, rows);
      const expected = rows.map(shown);
      expect(await withPyarrow(file), "pyarrow").to.deep.equal(expected);
      expect(await withDuckdb(file), "DuckDB").to.deep.equal(expected);
      // JavaScript's dates have milliseconds.
      const millis = rows.map((row) =>
        shown(
          row.map((value, index) =>
            index === 7 && value !== null ? Math.floor(Number(value) / 1000) : value,
          ),
        ),
      );
      expect(await withHyparquet(file), "hyparquet").to.deep.equal(millis);
    });
  }

  it("@slow is read with equal values by Spark", async () => {
    const rows = rowsOf(9_000);
    const file = await write("spark.parquet", rows);
    const script = `
import json, sys
from pyspark.sql import SparkSession, functions as F
s = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC").getOrCreate()
d = s.read.parquet(sys.argv[1]).withColumn("day", F.datediff("day", F.lit("1970-01-01"))).withColumn("at", F.unix_micros("at"))
for r in d.orderBy("id").collect():
    print(json.dumps(list(r)))
`;
    const output = execFileSync("python", ["-c", script, file], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(
      output
        .trimEnd()
        .split("\n")
        .map((line) => shown(JSON.parse(line))),
    ).to.deep.equal(rows.map(shown));
  }).timeout(120_000);

  it("gives what the library gives row by row: guards its internals", async () => {
    const rows = rowsOf(20_000);
    const file = await write("pages.parquet", rows);
    const types = [
      "INT64",
      "UTF8",
      "UTF8",
      "INT32",
      "DOUBLE",
      "BOOLEAN",
      "DATE",
      "TIMESTAMP_MICROS",
    ] as const;
    const schema = new parquet.ParquetSchema(
      Object.fromEntries(
        columns.map(({ name, required }, index) => [
          name,
          { type: types[index] ?? "UTF8", optional: !required, statistics: false },
        ]),
      ),
    );
    const usual = path.join(folder, "usual.parquet");
    const writer = await parquet.ParquetWriter.openStream(schema, createWriteStream(usual), {
      rowGroupSize: 65_536,
      pageSize: 8_192,
      useDataPageV2: false,
      pageIndex: false,
    });
    for (const row of rows) {
      await writer.appendRow(
        Object.fromEntries(columns.map(({ name }, index) => [name, row[index] ?? undefined])),
      );
    }
    const { columnData, pages, rowCount, pageRowCount } = writer.rowBuffer;
    expect([rowCount, pageRowCount, pages?.text?.length]).to.deep.equal([20_000, 20_000 % 8_192, 2]);
    expect(Object.keys(columnData?.text ?? {})).to.have.members([
      "dlevels",
      "rlevels",
      "values",
      "distinct_values",
      "count",
    ]);
    await writer.close();
    expect(await withPyarrow(file)).to.deep.equal(await withPyarrow(usual));
    const { version } = createRequire(import.meta.url)("parquetjs-lite/package.json");
    expect(version, "look at parquet.ts before another version is taken").to.equal("0.8.7");
  });

  it("refuses a required value that is absent, and a decimal", async () => {
    const file = createWriteStream(path.join(folder, "bad.parquet"));
    const writer = await ParquetFile.create(columns, file);
    expect(() => writer.append([null])).to.throw("column 'id' is required, but row 1 has no value");
    let message = "";
    await ParquetFile.create([column("a", "decimal(9,2)")], file).catch((error: Error) => {
      message = error.message;
    });
    expect(message).to.contain("column 'a'");
    file.destroy();
  });

  it("has the quarantine's columns as the catalog describes them", () => {
    const types: Record<string, string> = { varchar: "string" };
    expect(quarantineColumns.map(({ name, type }) => [name, types[type.kind] ?? type.kind])).to.deep.equal(
      quarantineTable.columns.map(({ name, type }) => [name, type]),
    );
  });
});
