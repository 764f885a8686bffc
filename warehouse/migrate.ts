import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Contract, ContractError, redshiftType } from "../contracts/contract.ts";
import type { SqlRunner } from "./dataApi.ts";
import {
  addColumn,
  createTable,
  createView,
  hasWarehouse,
  visibleColumns,
  type WarehouseContract,
} from "./tables.ts";
import { fill, quoted, statements } from "./template.ts";

export const schemas = ["stage", "mart"] as const;
export const roles = ["loader", "bi_reader"] as const;

/** What the warehouse holds before a migration; tables and views are named `schema.name`. */
export interface WarehouseState {
  readonly schemas: ReadonlySet<string>;
  readonly roles: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
  /** Columns in order, with Redshift's type names as in `redshiftType`. */
  readonly relations: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export interface MigrationOptions {
  readonly database: string;
  /** Database users by role; of an IAM role, `IAMR:<name of the role>`. */
  readonly members?: Partial<Record<(typeof roles)[number], readonly string[]>>;
}

const typeNames: Readonly<Record<string, string>> = {
  "timestamp without time zone": "TIMESTAMP",
  "double precision": "DOUBLE PRECISION",
};

/** Redshift's type name of a row of svv_columns: `numeric`, 18, 4 is `DECIMAL(18,4)`. */
function catalogType(
  type: string,
  length: string | null,
  precision: string | null,
  scale: string | null,
): string {
  if (type === "character varying") return `VARCHAR(${length})`;
  if (type === "character") return `CHAR(${length})`;
  if (type === "numeric") return `DECIMAL(${precision},${scale})`;
  return typeNames[type] ?? type.toUpperCase();
}

const names = (rows: (string | null)[][]): Set<string> =>
  new Set(rows.flatMap(([name]) => (name ? [name] : [])));

/** Reads what is there, from Redshift's catalog. */
export async function readState(sql: SqlRunner): Promise<WarehouseState> {
  const columns = await sql.rows(
    "SELECT table_schema, table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale " +
      "FROM svv_columns WHERE table_schema IN ('stage', 'mart') ORDER BY table_schema, table_name, ordinal_position",
  );
  const relations = new Map<string, Map<string, string>>();
  for (const [schema, table, column, type, length, precision, scale] of columns) {
    const name = `${schema}.${table}`;
    const relation = relations.get(name) ?? new Map<string, string>();
    relations.set(name, relation);
    relation.set(String(column), catalogType(String(type), length ?? null, precision ?? null, scale ?? null));
  }
  return {
    schemas: names(await sql.rows("SELECT nspname FROM pg_namespace")),
    roles: names(await sql.rows("SELECT role_name FROM svv_roles")),
    users: names(await sql.rows("SELECT usename FROM pg_user")),
    relations,
  };
}

/** The transaction for schemas, roles and their members. */
function planSchema(state: WarehouseState, script: string, options: MigrationOptions): string[] {
  const { database, members = {} } = options;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(database)) throw new Error(`'${database}' is no name of a database`);
  const users = Object.values(members).flat();
  for (const user of users) {
    if (!/^[A-Za-z0-9:+=,.@_-]{1,128}$/.test(user))
      throw new Error(`'${user}' is no name of a database user`);
  }
  return [
    ...schemas.filter((name) => !state.schemas.has(name)).map((name) => `CREATE SCHEMA ${name}`),
    ...roles.filter((name) => !state.roles.has(name)).map((name) => `CREATE ROLE ${name}`),
    ...[...new Set(users)]
      .filter((name) => !state.users.has(name))
      .map((name) => `CREATE USER ${quoted(name)} PASSWORD DISABLE`),
    ...statements(fill(script, { database })),
    ...roles.flatMap((role) => (members[role] ?? []).map((user) => `GRANT ROLE ${role} TO ${quoted(user)}`)),
  ];
}

/** The transaction for one table and its view; a problem that adding columns cannot solve goes to `problems`. */
function planTable(state: WarehouseState, contract: WarehouseContract, problems: string[]): string[] {
  const { table } = contract.warehouse;
  const existing = state.relations.get(`stage.${table}`);
  const plan: string[] = [];
  if (!existing) plan.push(createTable(contract));
  for (const column of existing ? contract.columns : []) {
    const type = existing?.get(column.name);
    if (type === undefined) {
      if (contract.key.includes(column.name) || contract.warehouse.by === column.name) {
        problems.push(
          `${contract.file}: column '${column.name}' is matched by loads but stage.${table} lacks it; rows that are there would ` +
            "have no value. Give the new shape a table of its own (warehouse.table)",
        );
      }
      plan.push(addColumn(contract, column));
    } else if (type !== redshiftType(column.type)) {
      problems.push(
        `${contract.file}: column '${column.name}' is ${redshiftType(column.type)} but ${type} in stage.${table}; ` +
          "a migration only adds. Keep the type, or add a column with another name",
      );
    }
  }
  plan.push(`GRANT SELECT, INSERT, UPDATE, DELETE ON stage.${table} TO ROLE loader`);
  // Redshift replaces a view only by one with the same columns, so a view that changes is dropped and made again.
  const view = state.relations.get(`mart.${table}`);
  if (view && [...view.keys()].join() !== visibleColumns(contract).join())
    plan.push(`DROP VIEW mart.${table}`);
  if (!view || plan.includes(`DROP VIEW mart.${table}`)) plan.push(createView(contract));
  plan.push(`GRANT SELECT ON mart.${table} TO ROLE bi_reader`);
  return plan;
}

/**
 * What brings a warehouse to the contracts: transactions to be run in order. Only adds; columns that a contract lost
 * stay in the table and leave the view.
 * @throws ContractError when a table would have to change in another way
 */
export function planMigration(
  contracts: readonly Contract[],
  state: WarehouseState,
  script: string,
  options: MigrationOptions,
): string[][] {
  const problems: string[] = [];
  const tables = contracts.filter(hasWarehouse).map((contract) => planTable(state, contract, problems));
  if (problems.length > 0) throw new ContractError(problems);
  return [planSchema(state, script, options), ...tables];
}

/** Brings the warehouse to the contracts. @returns the statements that ran */
export async function migrate(
  sql: SqlRunner,
  contracts: readonly Contract[],
  options: MigrationOptions,
  script?: string,
): Promise<string[]> {
  const schema = script ?? (await readFile(path.join(import.meta.dirname, "schema.sql"), "utf8"));
  const transactions = planMigration(contracts, await readState(sql), schema, options);
  for (const transaction of transactions) await sql.run(transaction);
  return transactions.flat();
}
