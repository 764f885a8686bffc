import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { PGlite, type Transaction } from "@electric-sql/pglite";
import type {
  ColumnMetadata,
  Field,
  RedshiftDataApi,
  StatementDescription,
} from "../../warehouse/dataApi.ts";
import { maxBatch } from "../../warehouse/dataApi.ts";
import { makeCluster } from "./cluster.ts";
import { adapt } from "./dialect.ts";
import { copyText, filesOf } from "./parquet.ts";

export interface ResultColumn {
  readonly name: string;
  /** PostgreSQL's name of the type, for example `numeric`. */
  readonly type: string;
}

/** Rows of a query. Values are the database's own text, so that a decimal keeps every digit; null is NULL. */
export interface Result {
  readonly columns: readonly ResultColumn[];
  readonly rows: readonly (readonly (string | null)[])[];
}

export interface WarehouseOptions {
  /** Where the data lives; in memory when absent. */
  readonly dir?: string;
  /** The directory whose folders are the buckets that `s3://` means. */
  readonly lake: string;
}

interface Statement {
  readonly description: StatementDescription;
  readonly result?: Result;
}

/** The Data API refuses what it was asked. */
export class DataApiError extends Error {
  constructor(name: "ResourceNotFoundException" | "ValidationException", message: string) {
    super(message);
    this.name = name;
  }
}

const typeNames: Readonly<Record<number, string>> = {
  16: "bool",
  19: "name",
  20: "int8",
  21: "int2",
  23: "int4",
  25: "text",
  26: "oid",
  700: "float4",
  701: "float8",
  1042: "bpchar",
  1043: "varchar",
  1082: "date",
  1114: "timestamp",
  1184: "timestamptz",
  1700: "numeric",
};
const asText = (text: string): string => text;
const textParsers = {
  ...Object.fromEntries(Object.keys(typeNames).map((oid) => [Number(oid), asText])),
  16: (text: string): string => (text === "t" ? "true" : "false"),
};

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const digestOf = (sqls: readonly string[]): string =>
  createHash("sha256").update(JSON.stringify(sqls)).digest("hex");
const isName = (role: string): boolean => /^[A-Za-z_][A-Za-z0-9_:.@+=,-]{0,127}$/.test(role);

function fieldOf(value: string | null, type: string): Field {
  if (value === null) return { isNull: true };
  if (type === "int2" || type === "int4" || type === "int8") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? { longValue: number } : { stringValue: value };
  }
  if (type === "float4" || type === "float8") return { doubleValue: Number(value) };
  return type === "bool" ? { booleanValue: value === "true" } : { stringValue: value };
}

/** Stands in for Redshift Serverless on one machine: its SQL, its roles and its Data API over PostgreSQL in this process. */
export class Warehouse {
  /** The name of the database, for migrations. */
  readonly database = "postgres";
  readonly #db: PGlite;
  readonly #lake: string;
  /** Statements of this process; those of earlier ones are in redshift.statements. */
  readonly #statements = new Map<string, Statement>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #tokens: Map<string, { id: string; digest: string }>;

  private constructor(db: PGlite, lake: string, tokens: Map<string, { id: string; digest: string }>) {
    this.#db = db;
    this.#lake = lake;
    this.#tokens = tokens;
  }

  /** Opens the warehouse, creating it when it is not there. @throws Error when the directory cannot be used */
  static async open({ dir, lake }: WarehouseOptions): Promise<Warehouse> {
    try {
      if (dir !== undefined) await makeCluster(dir);
      const db = await PGlite.create(dir ?? "memory://");
      await db.exec(await readFile(path.join(import.meta.dirname, "bootstrap.sql"), "utf8"));
      const { rows } = await db.query<{ token: string; id: string; digest: string }>(
        "SELECT client_token AS token, id, digest FROM redshift.statements WHERE client_token IS NOT NULL",
      );
      return new Warehouse(db, lake, new Map(rows.map(({ token, id, digest }) => [token, { id, digest }])));
    } catch (error) {
      throw new Error(
        `the local warehouse ${dir ?? "in memory"} cannot be opened (${message(error)}); check the directory's permissions ` +
          "and free space, or delete the directory to start anew",
        { cause: error },
      );
    }
  }

  /** Ends what runs and closes the database. */
  async close(): Promise<void> {
    await Promise.all(this.#running.values());
    await this.#db.close();
  }

  /**
   * Runs one statement of Redshift's SQL as a role.
   * @param as `owner` (the administrator), `loader`, `bi_reader` or another role of the database
   * @throws DialectError for what Redshift does not know, else the database's own error
   */
  async query(sql: string, { as }: { as: string }): Promise<Result> {
    return this.#session(as, [sql], async () => {});
  }

  /** The Data API of one role: the shape of the AWS client's, over this database. */
  dataApi(as: string): RedshiftDataApi {
    return {
      batchExecuteStatement: async ({ Sqls, ClientToken }) => {
        if (Sqls.length < 1 || Sqls.length > maxBatch) {
          throw new DataApiError(
            "ValidationException",
            `Sqls has ${Sqls.length} statements; 1 to ${maxBatch} are allowed`,
          );
        }
        return { Id: this.#submit(as, Sqls, ClientToken) };
      },
      executeStatement: async ({ Sql, ClientToken }) => ({ Id: await this.#submit(as, [Sql], ClientToken) }),
      describeStatement: ({ Id }) => this.#describe(Id),
      getStatementResult: async ({ Id }) => {
        const description = await this.#describe(Id);
        const result = this.#statements.get(Id)?.result;
        if (!result) {
          throw new DataApiError(
            "ResourceNotFoundException",
            `statement ${Id} (${description.Status}) has no result here`,
          );
        }
        const ColumnMetadata: ColumnMetadata[] = result.columns.map(({ name, type }) => ({
          name,
          typeName: type,
        }));
        const Records = result.rows.map((row) =>
          row.map((value, index) => fieldOf(value, result.columns[index]?.type ?? "")),
        );
        return { ColumnMetadata, Records };
      },
    };
  }

  /** Starts statements as one transaction and returns at once, as the Data API does. */
  #submit(as: string, sqls: readonly string[], token: string | undefined): string {
    const digest = digestOf(sqls);
    if (token !== undefined) {
      if (!/^.{1,64}$/s.test(token)) {
        throw new DataApiError(
          "ValidationException",
          `ClientToken has ${token.length} characters; 1 to 64 are allowed`,
        );
      }
      const earlier = this.#tokens.get(token);
      if (earlier && earlier.digest !== digest) {
        throw new DataApiError(
          "ValidationException",
          `ClientToken ${token} was used for other statements (${earlier.id})`,
        );
      }
      if (earlier) return earlier.id;
    }
    const id = randomUUID();
    if (token !== undefined) this.#tokens.set(token, { id, digest });
    this.#statements.set(id, { description: { Id: id, Status: "STARTED" } });
    const remember = (status: string, error: string | null): [string, unknown[]] => [
      "INSERT INTO redshift.statements (id, client_token, digest, status, error) VALUES ($1, $2, $3, $4, $5)",
      [id, token ?? null, digest, status, error],
    ];
    const run = async (): Promise<void> => {
      try {
        // The outcome is remembered in the transaction itself: after a crash there is either both or neither.
        const result = await this.#session(as, sqls, async (tx) => {
          await tx.query(...remember("FINISHED", null));
        });
        const HasResultSet = result.columns.length > 0;
        this.#statements.set(id, { description: { Id: id, Status: "FINISHED", HasResultSet }, result });
      } catch (error) {
        this.#statements.set(id, {
          description: { Id: id, Status: "FAILED", Error: `ERROR: ${message(error)}` },
        });
        await this.#db.query(...remember("FAILED", `ERROR: ${message(error)}`));
      } finally {
        this.#running.delete(id);
      }
    };
    this.#running.set(id, run());
    return id;
  }

  async #describe(id: string): Promise<StatementDescription> {
    const known = this.#statements.get(id);
    if (known) return known.description;
    const { rows } = await this.#db.query<{ status: string; error: string | null }>(
      "SELECT status, error FROM redshift.statements WHERE id = $1",
      [id],
    );
    const row = rows[0];
    if (!row) throw new DataApiError("ResourceNotFoundException", `there is no statement ${id}`);
    return {
      Id: id,
      Status: row.status,
      HasResultSet: false,
      ...(row.error !== null && { Error: row.error }),
    };
  }

  /** One session: a transaction as a role, after which its temporary tables are gone. @returns the last statement's rows */
  async #session(
    as: string,
    sqls: readonly string[],
    last: (tx: Transaction) => Promise<void>,
  ): Promise<Result> {
    const actions = sqls.map(adapt);
    const role = await this.#role(as);
    const result = await this.#db.transaction(async (tx) => {
      await tx.exec(`SET LOCAL ROLE ${role}`);
      let rows: Result = { columns: [], rows: [] };
      for (const action of actions) {
        if (action.kind === "copy") await this.#copy(tx, action.table, action.path);
        if (action.kind !== "sql") continue;
        const answer = await tx.query<(string | null)[]>(action.sql, [], {
          rowMode: "array",
          parsers: textParsers,
        });
        rows = {
          columns: answer.fields.map(({ name, dataTypeID }) => ({
            name,
            type: typeNames[dataTypeID] ?? `oid ${dataTypeID}`,
          })),
          rows: answer.rows,
        };
      }
      await tx.exec("SET LOCAL ROLE NONE");
      await last(tx);
      await tx.exec("DISCARD TEMP");
      return rows;
    });
    if (!result) throw new Error("the database ended the transaction without a result");
    return result;
  }

  async #role(as: string): Promise<string> {
    if (as === "owner") return "NONE";
    const { rows } = await this.#db.query<{ rolname: string }>(
      "SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname NOT LIKE 'pg\\_%' ORDER BY rolname",
    );
    const known = rows.map(({ rolname }) => rolname);
    if (!isName(as) || !known.includes(as)) {
      throw new Error(`the warehouse has no role '${as}'; there are ${["owner", ...known].join(", ")}`);
    }
    return `"${as}"`;
  }

  async #copy(tx: Transaction, table: string, uri: string): Promise<void> {
    const { rows } = await tx.query<{ name: string; type: string }>(
      "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute " +
        "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
      [table],
    );
    const blob = await copyText(await filesOf(this.#lake, uri), rows);
    await tx.query(`COPY ${table} FROM '/dev/blob'`, [], { blob });
  }
}
