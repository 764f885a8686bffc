/** The part of parquetjs-lite 0.8.7 that is used; `rowBuffer` is internal, and parquet.test.ts guards its shape. */
declare module "parquetjs-lite" {
  import type { Writable } from "node:stream";

  type Field = {
    type: "UTF8" | "INT32" | "INT64" | "DOUBLE" | "BOOLEAN" | "DATE" | "TIMESTAMP_MICROS";
    optional?: boolean;
    compression?: "UNCOMPRESSED" | "GZIP" | "SNAPPY";
    statistics?: false;
  };

  class ParquetSchema {
    constructor(fields: Readonly<Record<string, Field>>);
  }

  interface ColumnBuffer {
    dlevels: number[];
    rlevels: number[];
    values: unknown[];
    distinct_values: Set<unknown>;
    count: number;
  }

  class ParquetWriter {
    static openStream(
      schema: ParquetSchema,
      stream: Writable,
      options: { rowGroupSize: number; pageSize: number; useDataPageV2: boolean; pageIndex: boolean },
    ): Promise<ParquetWriter>;
    rowBuffer: {
      rowCount?: number;
      pageRowCount?: number;
      columnData?: Record<string, ColumnBuffer>;
      pages?: Record<string, unknown[]>;
    };
    appendRow(row: Readonly<Record<string, unknown>>): Promise<void>;
    setMetadata(key: string, value: string): void;
    close(): Promise<void>;
  }

  const parquet: { ParquetSchema: typeof ParquetSchema; ParquetWriter: typeof ParquetWriter };
  export default parquet;
  export type { Field, ParquetSchema, ParquetWriter };
}
