/**
 * Flat tables as Parquet, written by parquetjs-lite a page at a time.
 *
 * The library takes rows one by one and shreds each into columns, which is most of its time. For a flat schema the
 * columns can be collected here: a page's values go into the library's own column buffers at once, and only the last
 * row of a page takes its usual way, which makes it encode the page. This leans on its internals (`rowBuffer`), so
 * its version is pinned and a test compares both ways.
 *
 * Pages are of version 1 and have no statistics: the library compares texts by UTF-16 and leaves required fields out
 * of the column index, and a reader that trusts either skips rows that are there.
 */
import type { Writable } from "node:stream";
import parquet, { type Field, type ParquetSchema, type ParquetWriter } from "parquetjs-lite";
import type { ColumnType } from "../../contracts/contract.ts";

/** A value of a row. Timestamps are microseconds since 1970 UTC, dates are days since 1970. */
export type Value = string | number | boolean | null;

/** A column of a table. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly required: boolean;
}

/** Rows of a page: larger ones are encoded a little faster, and cost memory. */
const pageRows = 2_048;
/** Rows of a row group, which is what is in memory at most, encoded and compressed. */
const groupRows = 8 * pageRows;

const parquetTypes: Readonly<Record<Exclude<ColumnType["kind"], "decimal">, Field["type"]>> = {
  varchar: "UTF8",
  char: "UTF8",
  smallint: "INT32",
  int: "INT32",
  bigint: "INT64",
  double: "DOUBLE",
  boolean: "BOOLEAN",
  date: "DATE",
  timestamp: "TIMESTAMP_MICROS",
};

function schemaOf(columns: readonly ParquetColumn[]): ParquetSchema {
  const fields = columns.map(({ name, type, required }): [string, Field] => {
    if (type.kind === "decimal") throw new Error(`column '${name}': parquetjs-lite writes no decimals`);
    const field: Field = { type: parquetTypes[type.kind], compression: "SNAPPY", statistics: false };
    return [name, required ? field : { ...field, optional: true }];
  });
  return new parquet.ParquetSchema(Object.fromEntries(fields));
}

/** Values of one column of the page that is being filled. */
interface Page {
  readonly name: string;
  readonly required: boolean;
  values: unknown[];
  levels: number[];
}

/** Writes rows to a stream; memory holds one row group, however many there are. */
export class ParquetFile {
  readonly #writer: ParquetWriter;
  readonly #pages: readonly Page[];
  readonly #zeros = new Array<number>(pageRows - 1).fill(0);
  #inPage = 0;
  #rows = 0;

  private constructor(writer: ParquetWriter, columns: readonly ParquetColumn[]) {
    this.#writer = writer;
    this.#pages = columns.map(({ name, required }) => ({
      name,
      required,
      values: [],
      levels: [],
    }));
  }

  /** @param metadata kept in the file's footer, for example the contract and its version */
  static async create(
    columns: readonly ParquetColumn[],
    stream: Writable,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<ParquetFile> {
    const writer = await parquet.ParquetWriter.openStream(schemaOf(columns), stream, {
      rowGroupSize: groupRows,
      pageSize: pageRows,
      useDataPageV2: false,
      pageIndex: false,
    });
    for (const [key, value] of Object.entries(metadata)) writer.setMetadata(key, value);
    return new ParquetFile(writer, columns);
  }

  /** Rows written so far. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Takes a row, its values in the order of the columns. Await what it returns, if anything: a page was full.
   * @throws Error when a required value is absent
   */
  append(row: readonly Value[]): Promise<void> | undefined {
    this.#rows += 1;
    this.#inPage += 1;
    // The last row of a page goes through the library, so that it encodes the page.
    if (this.#inPage === pageRows) return this.#endPage(row);
    const pages = this.#pages;
    for (let index = 0; index < pages.length; index += 1) {
      const page = pages[index];
      const value = row[index] ?? null;
      if (!page) continue;
      if (value !== null) {
        page.values.push(value); // texts are encoded by the library, all of a page at once
        if (!page.required) page.levels.push(1);
      } else if (page.required) {
        throw new Error(`column '${page.name}' is required, but row ${this.#rows} has no value for it`);
      } else page.levels.push(0);
    }
    return undefined;
  }

  /** Writes what is left and the footer; the stream ends. */
  async close(): Promise<void> {
    if (this.#inPage > 0) this.#fill();
    await this.#writer.close();
  }

  async #endPage(last: readonly Value[]): Promise<void> {
    this.#fill();
    await this.#writer.appendRow(
      Object.fromEntries(this.#pages.map(({ name }, index) => [name, last[index]])),
    );
  }

  /** Hands the collected columns to the library, as if it had shredded their rows. */
  #fill(): void {
    const { rowBuffer } = this.#writer;
    const rows = this.#inPage === pageRows ? pageRows - 1 : this.#inPage;
    rowBuffer.rowCount = (rowBuffer.rowCount ?? 0) + rows;
    rowBuffer.pageRowCount = (rowBuffer.pageRowCount ?? 0) + rows;
    rowBuffer.columnData ??= {};
    rowBuffer.pages ??= {};
    for (const page of this.#pages) {
      rowBuffer.pages[page.name] ??= [];
      rowBuffer.columnData[page.name] = {
        values: page.values,
        dlevels: page.required ? this.#zeros.slice(0, rows) : page.levels,
        rlevels: [],
        distinct_values: new Set(),
        count: rows,
      };
      page.values = [];
      page.levels = [];
    }
    this.#inPage = 0;
  }
}
