import { type Column, type Contract, redshiftType } from "../contracts/contract.ts";
import { quoted } from "./template.ts";

/** A contract that has a table in the warehouse. */
export type WarehouseContract = Contract & { readonly warehouse: NonNullable<Contract["warehouse"]> };

export const hasWarehouse = (contract: Contract): contract is WarehouseContract =>
  contract.warehouse !== undefined;

/** What every table carries after its business columns: which batch brought the row, and in which version. */
export const technicalColumns = [
  { name: "version_at", type: "TIMESTAMP" },
  { name: "batch_id", type: "VARCHAR(64)" },
] as const;

/** NOT NULL only where loads match rows: `required` is checked in the lake, and a column added later cannot carry it. */
function definition(contract: WarehouseContract, column: Column): string {
  const matched = contract.key.includes(column.name) || contract.warehouse.by === column.name;
  return `${quoted(column.name)} ${redshiftType(column.type)}${matched ? " NOT NULL" : ""}`;
}

/**
 * Rows of one key lie on one node, so that a merge moves nothing; of a key of several columns Redshift picks by use.
 * Rows lie in the order of the column that dashboards filter by: the replaced day or the event time.
 */
function layout(contract: WarehouseContract): string {
  const [first, second] = contract.key;
  const sort = contract.warehouse.by ?? contract.eventTime;
  const distribution =
    first !== undefined && second === undefined ? `DISTKEY (${quoted(first)})` : "DISTSTYLE AUTO";
  return `${distribution} SORTKEY ${sort === undefined ? "AUTO" : `(${quoted(sort)})`}`;
}

/** CREATE TABLE of the base table in schema stage. The primary key informs the planner; Redshift does not enforce it. */
export function createTable(contract: WarehouseContract): string {
  const lines = [
    ...contract.columns.map((column) => definition(contract, column)),
    ...technicalColumns.map(({ name, type }) => `${name} ${type} NOT NULL`),
    `PRIMARY KEY (${contract.key.map(quoted).join(", ")})`,
  ];
  return `CREATE TABLE stage.${contract.warehouse.table} (\n  ${lines.join(",\n  ")}\n) ${layout(contract)}`;
}

/** ALTER TABLE for a column the contract gained: Redshift adds one a statement, and older rows have no value for it. */
export function addColumn(contract: WarehouseContract, column: Column): string {
  return `ALTER TABLE stage.${contract.warehouse.table} ADD COLUMN ${quoted(column.name)} ${redshiftType(column.type)}`;
}

/** Names of the columns that BI may see: the business columns without personal data. */
export function visibleColumns(contract: WarehouseContract): string[] {
  return contract.columns.filter((column) => !column.personal).map((column) => column.name);
}

/** CREATE VIEW of what BI may see. @throws Error when every column is personal */
export function createView(contract: WarehouseContract): string {
  const columns = visibleColumns(contract);
  if (columns.length === 0) {
    throw new Error(
      `${contract.file}: every column is personal, so BI could see none; take 'warehouse' out of the contract`,
    );
  }
  const { table } = contract.warehouse;
  return `CREATE VIEW mart.${table} AS\nSELECT ${columns.map(quoted).join(", ")}\nFROM stage.${table}`;
}
