/** One measurement in a process of its own, so that its peak memory is its own: tsx case.ts <what> <csv> <folder> */
import { createReadStream, createWriteStream } from "node:fs";
import { utimes } from "node:fs/promises";
import path from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { parse } from "csv-parse";
import { ByteWriter, type ColumnSource, parquetWrite } from "hyparquet-writer";
import { contractsDir } from "../../contracts/bundle.ts";
import { type Contract, loadContract } from "../../contracts/contract.ts";
import { type Cleaned, cleanerOf, type Origin } from "../../functions/api-logs/clean.ts";
import { csvRecords } from "../../functions/api-logs/csv.ts";
import { dropHandler } from "../../functions/api-logs/drop.ts";
import { geography } from "../../functions/api-logs/enrich.ts";
import { type ParquetColumn, ParquetFile, type Value } from "../../functions/api-logs/parquet.ts";
import { Rejected, valuesReader } from "../../functions/api-logs/parse.ts";
import { protectorOf } from "../../functions/api-logs/protect.ts";
import { rowMaker } from "../../functions/api-logs/row.ts";
import { noSegments } from "../../functions/api-logs/segments.ts";
import { logSourceOf, Transform } from "../../functions/api-logs/transform.ts";
import { DirectoryStore } from "../../local/adapters/directoryStore.ts";
import { geoDatabase } from "../../local/adapters/geoDatabase.ts";
import { header } from "./sample.ts";

const [what = "", csv = "", folder = ""] = process.argv.slice(2);
const names = header.split(",");
const numbers = new Set(["status", "bytes_in", "bytes_out"]);
const columns: ParquetColumn[] = names.map((name) => {
  if (numbers.has(name)) return { name, type: { kind: "bigint" }, required: false };
  if (name === "latency_ms") return { name, type: { kind: "double" }, required: false };
  return { name, type: { kind: "varchar", length: 1024 }, required: false };
});
const out = path.join(folder, `${what}.parquet`);
const chunk = { highWaterMark: 1 << 18 };

const numeric = columns.map(({ type }) => type.kind !== "varchar");

/** The same table for every writer: text as it is, numbers as numbers, nothing for an empty value. */
const cellOf = (index: number, text: string | undefined): Value =>
  text === undefined || text === "" ? null : numeric[index] ? Number(text) : text;

const now = (): Date => new Date();
const loadTools = async () => ({
  contract: await loadContract(path.join(contractsDir, "api_events.yaml")),
  place: await geography(geoDatabase),
  protector: protectorOf("a key of the bench, over 32 characters"),
});

/** The function's records without its objects: read and cleaned, and given to `use`. */
async function cleaned(contract: Contract, use: (record: Cleaned, origin: Origin) => void): Promise<number> {
  const source = logSourceOf(contract);
  const format = source.formats.find(({ syntax }) => syntax === "csv");
  if (!format) throw new Error("the contract has no CSV");
  const read = valuesReader(format);
  const clean = cleanerOf(source, format);
  const at = { object: csv, sequence: null, arrived: Date.now() };
  let records = 0;
  for await (const block of csvRecords(createReadStream(csv), format.columns ?? [], source.maxRecordBytes)) {
    for (const record of block) {
      if (!("values" in record)) throw new Error(record.reason);
      const raw = read(record.values);
      if (raw instanceof Rejected) throw new Error(raw.detail);
      const origin = { ...at, position: record.position };
      const result = clean(raw, origin);
      if (result instanceof Rejected) throw new Error(result.detail);
      use(result, origin);
      records += 1;
    }
  }
  return records;
}

const cases: Readonly<Record<string, () => Promise<number>>> = {
  "csv-parse alone": async () => {
    let records = -1;
    for await (const _ of createReadStream(csv, chunk).pipe(parse())) records += 1;
    return records;
  },
  "CSV to Parquet": async () => {
    const file = await ParquetFile.create(columns, createWriteStream(out));
    for await (const records of csvRecords(createReadStream(csv, chunk), names, 1 << 20)) {
      for (const record of records) {
        if (!("values" in record)) throw new Error(record.reason);
        const full = file.append(record.values.map((text, index) => cellOf(index, text)));
        if (full) await full;
      }
    }
    await file.close();
    return file.rows;
  },
  "read and clean": async () => cleaned((await loadTools()).contract, () => {}),
  "read, clean, enrich, protect": async () => {
    const { contract, ...tools } = await loadTools();
    const toRow = rowMaker(contract, tools);
    return cleaned(contract, (record, origin) => {
      if (toRow(record, origin, "csv", null).length === 0) throw new Error("a row without values");
    });
  },
  "the whole function": async () => {
    const { contract, ...tools } = await loadTools();
    const transform = new Transform({ contract, ...tools, segments: noSegments, now });
    const store = new DirectoryStore(path.dirname(path.dirname(csv)));
    const bucket = path.basename(path.dirname(csv));
    // The store knows files by bucket and key: the CSV lies in a folder that is both.
    const view = {
      open: async () => store.open(bucket, path.basename(csv)),
      putFile: (to: string, key: string, file: string) => store.putFile(to, key, file),
    };
    const targets = {
      curatedBucket: path.basename(folder),
      quarantineBucket: path.basename(folder),
      curatedDatabase: "c",
      quarantineDatabase: "q",
    };
    const drop = dropHandler({
      contract,
      transform,
      targets,
      store: view,
      partitions: { register: async () => {} },
    });
    await utimes(csv, new Date(), new Date());
    const { counts } = await drop({ bucket, key: `drops/api-logs/csv/${path.basename(csv)}`, version: "1" });
    if (counts.accepted !== counts.received) throw new Error(JSON.stringify(counts));
    return counts.received;
  },
  "hyparquet-writer": async () => {
    const data = names.map((): Value[] => []);
    for await (const record of createReadStream(csv, chunk).pipe(parse({ from_line: 2 }))) {
      for (let index = 0; index < names.length; index += 1) data[index]?.push(cellOf(index, record[index]));
    }
    const columnData = columns.map(({ name, type }, index): ColumnSource => {
      const kind = type.kind === "bigint" ? "INT64" : type.kind === "double" ? "DOUBLE" : "STRING";
      const values = data[index] ?? [];
      return {
        name,
        type: kind,
        nullable: true,
        data: kind === "INT64" ? values.map((value) => (value === null ? null : BigInt(value))) : values,
      };
    });
    const writer = new ByteWriter();
    parquetWrite({ writer, columnData });
    await new Promise<void>((resolve, reject) => {
      createWriteStream(out).end(writer.getBytes(), (error?: Error | null) =>
        error ? reject(error) : resolve(),
      );
    });
    return data[0]?.length ?? 0;
  },
  DuckDB: async () => {
    const connection = await (await DuckDBInstance.create(":memory:", { threads: "1" })).connect();
    const types = columns.map(
      ({ name, type }) => `'${name}': '${type.kind === "varchar" ? "VARCHAR" : type.kind}'`,
    );
    const result = await connection.run(
      `COPY (SELECT * FROM read_csv('${csv}', header = true, columns = {${types.join(", ")}})) TO '${out}' (FORMAT parquet, COMPRESSION snappy)`,
    );
    return result.rowsChanged;
  },
};

const run = cases[what];
if (!run) throw new Error(`'${what}' is none of ${Object.keys(cases).join(", ")}`);
const started = performance.now();
const before = process.cpuUsage();
const records = await run();
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(before);
const peakMegabytes = process.resourceUsage().maxRSS / 1024;
process.stdout.write(
  `${JSON.stringify({ records, seconds, cpuSeconds: (user + system) / 1e6, peakMegabytes })}\n`,
);
