import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Contract, redshiftType } from "../contracts/contract.ts";
import { fill, quoted, statements } from "./template.ts";

/** The two ways to load, as SQL templates: warehouse/load/*.sql. */
export interface LoadTemplates {
  readonly merge: string;
  readonly replace: string;
}

/** Reads the templates. @param dir where they lie: beside this file, or in the bundle of a Lambda */
export async function readLoadTemplates(
  dir = path.join(import.meta.dirname, "load"),
): Promise<LoadTemplates> {
  const [merge, replace] = await Promise.all(
    ["merge.sql", "replace.sql"].map((name) => readFile(path.join(dir, name), "utf8")),
  );
  if (merge === undefined || replace === undefined) throw new Error(`${dir} lacks merge.sql or replace.sql`);
  return { merge, replace };
}

/**
 * The statements that load one batch into a contract's warehouse table, to be run in one transaction.
 * @param exportPath `s3://bucket/prefix/` of Parquet files with the contract's columns in order, then version_at, batch_id, _op
 * @throws Error when the contract has no warehouse table, or the path could end a SQL literal
 */
export function loadStatements(contract: Contract, exportPath: string, templates: LoadTemplates): string[] {
  const { warehouse, name, columns } = contract;
  if (!warehouse)
    throw new Error(`contract '${name}' (${contract.file}) has no warehouse table: nothing to load`);
  if (!/^s3:\/\/[a-z0-9.-]+\/[A-Za-z0-9_=./:+-]+$/.test(exportPath)) {
    throw new Error(
      `'${exportPath}' is no path of an export; expected s3://bucket/prefix of letters, digits and _=./:+-`,
    );
  }
  const { table } = warehouse;
  const names = columns.map((column) => quoted(column.name));
  const key = contract.key.map(quoted);
  const common = {
    table,
    path: exportPath,
    columns: names.join(", "),
    column_definitions: columns
      .map((column) => `${quoted(column.name)} ${redshiftType(column.type)}`)
      .join(",\n  "),
  };
  if (warehouse.load === "merge") {
    const latest = (column: string): string => `${table}_latest.${column}`;
    const changed = [...names.filter((column) => !key.includes(column)), "version_at", "batch_id"];
    return statements(
      fill(templates.merge, {
        ...common,
        key: key.join(", "),
        match: key.map((column) => `${table}.${column} = ${latest(column)}`).join(" AND "),
        assignments: changed.map((column) => `${column} = ${latest(column)}`).join(", "),
        latest_columns: names.map(latest).join(", "),
      }),
    );
  }
  const { by } = warehouse;
  if (by === undefined)
    throw new Error(`contract '${name}' (${contract.file}): warehouse.load 'replace' needs by`);
  const ofBatch = (column: string): string => `${table}_batch.${column}`;
  return statements(
    fill(templates.replace, {
      ...common,
      by: quoted(by),
      batch_columns: names.map(ofBatch).join(", "),
      batch_key: key.map(ofBatch).join(", "),
    }),
  );
}
