/** The column types a contract may name, and what each engine calls them. */

export type ColumnType =
  | { kind: "varchar" | "char"; length: number }
  | { kind: "decimal"; precision: number; scale: number }
  | { kind: "int" | "bigint" | "smallint" | "double" | "boolean" | "date" | "timestamp" };

export const allowedTypes =
  "varchar(1..65535), char(1..4096), smallint, int, bigint, decimal(p,s) with 1 ≤ p ≤ 38 and 0 ≤ s ≤ p, double, boolean, date, timestamp";

const plain = ["smallint", "int", "bigint", "double", "boolean", "date", "timestamp"] as const;

/** The type that `physicalType` names, or undefined when it is none of `allowedTypes`. */
export function parseColumnType(text: string): ColumnType | undefined {
  const name = plain.find((kind) => kind === text);
  if (name) return { kind: name };
  const sized = /^(varchar|char)\((\d{1,5})\)$/.exec(text);
  if (sized) {
    const kind = sized[1] === "char" ? "char" : "varchar";
    const length = Number(sized[2]);
    return length >= 1 && length <= (kind === "char" ? 4096 : 65535) ? { kind, length } : undefined;
  }
  const decimal = /^decimal\((\d{1,2}),\s*(\d{1,2})\)$/.exec(text);
  if (decimal) {
    const precision = Number(decimal[1]);
    const scale = Number(decimal[2]);
    const valid = precision >= 1 && precision <= 38 && scale <= precision;
    return valid ? { kind: "decimal", precision, scale } : undefined;
  }
  return undefined;
}

type Names = Record<Exclude<ColumnType["kind"], "varchar" | "char" | "decimal">, string>;

// Iceberg has no 16-bit integer: a smallint is an int everywhere, since COPY converts no type into another.
const redshiftNames: Names = {
  smallint: "INTEGER",
  int: "INTEGER",
  bigint: "BIGINT",
  double: "DOUBLE PRECISION",
  boolean: "BOOLEAN",
  date: "DATE",
  timestamp: "TIMESTAMP",
};

const icebergNames: Names = {
  smallint: "int",
  int: "int",
  bigint: "bigint",
  double: "double",
  boolean: "boolean",
  date: "date",
  timestamp: "timestamp",
};

/** Redshift's name. Lengths of VARCHAR and CHAR count bytes there, not characters. */
export function redshiftType(type: ColumnType): string {
  if (type.kind === "varchar" || type.kind === "char") return `${type.kind.toUpperCase()}(${type.length})`;
  if (type.kind === "decimal") return `DECIMAL(${type.precision},${type.scale})`;
  return redshiftNames[type.kind];
}

/** The name in Spark's DDL for an Iceberg table; the lake keeps text without a length. */
export function icebergType(type: ColumnType): string {
  if (type.kind === "varchar" || type.kind === "char") return "string";
  if (type.kind === "decimal") return `decimal(${type.precision},${type.scale})`;
  return icebergNames[type.kind];
}

/** The name in the Glue Catalog (Hive), for plain Parquet tables. */
export function glueType(type: ColumnType): string {
  return icebergType(type);
}
