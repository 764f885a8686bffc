/** The part of the Redshift Data API used here: the AWS client has this shape, and so has the local warehouse. */

export interface Field {
  readonly isNull?: boolean | undefined;
  readonly booleanValue?: boolean | undefined;
  readonly longValue?: number | undefined;
  readonly doubleValue?: number | undefined;
  readonly stringValue?: string | undefined;
}

export interface ColumnMetadata {
  readonly name?: string | undefined;
  readonly typeName?: string | undefined;
}

export type StatementStatus = "SUBMITTED" | "PICKED" | "STARTED" | "FINISHED" | "FAILED" | "ABORTED";

export interface StatementDescription {
  readonly Id?: string | undefined;
  readonly Status?: StatementStatus | string | undefined;
  /** Why it failed. */
  readonly Error?: string | undefined;
  readonly HasResultSet?: boolean | undefined;
}

/** Where to run: the names of the workgroup and database, which the local warehouse does not need. */
export interface Target {
  readonly WorkgroupName?: string;
  readonly Database?: string;
  readonly SecretArn?: string;
}

export interface RedshiftDataApi {
  /** Runs up to 40 statements in one transaction. The same ClientToken returns the same Id and runs nothing again. */
  batchExecuteStatement(
    input: Target & { Sqls: string[]; ClientToken?: string; StatementName?: string; WithEvent?: boolean },
  ): Promise<{ Id?: string | undefined }>;
  executeStatement(
    input: Target & { Sql: string; ClientToken?: string },
  ): Promise<{ Id?: string | undefined }>;
  describeStatement(input: { Id: string }): Promise<StatementDescription>;
  getStatementResult(input: { Id: string; NextToken?: string }): Promise<{
    Records?: Field[][] | undefined;
    ColumnMetadata?: ColumnMetadata[] | undefined;
    NextToken?: string | undefined;
  }>;
}

/** The most statements that one batchExecuteStatement takes. */
export const maxBatch = 40;

/** A statement ended in FAILED or ABORTED. */
export class StatementError extends Error {
  override readonly name = "StatementError";
}

const text = (field: Field): string | null => {
  if (field.isNull) return null;
  const value = field.stringValue ?? field.longValue ?? field.doubleValue ?? field.booleanValue;
  return value === undefined ? null : String(value);
};

/** Runs SQL through the Data API and waits for its end. */
export class SqlRunner {
  readonly #api: RedshiftDataApi;
  readonly #target: Target;
  readonly #pause: (ms: number) => Promise<void>;

  constructor(
    api: RedshiftDataApi,
    target: Target = {},
    pause: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  ) {
    this.#api = api;
    this.#target = target;
    this.#pause = pause;
  }

  /** Runs statements in one transaction. @throws StatementError with the database's message */
  async run(sqls: string[]): Promise<void> {
    if (sqls.length === 0) return;
    if (sqls.length > maxBatch)
      throw new Error(`${sqls.length} statements in a transaction; the Data API takes ${maxBatch}`);
    const { Id } = await this.#api.batchExecuteStatement({ ...this.#target, Sqls: sqls });
    await this.#ended(Id, sqls.join(";\n"));
  }

  /** The rows of a query, values as text. @throws StatementError with the database's message */
  async rows(sql: string): Promise<(string | null)[][]> {
    const { Id } = await this.#api.executeStatement({ ...this.#target, Sql: sql });
    const id = await this.#ended(Id, sql);
    const rows: (string | null)[][] = [];
    let next: string | undefined;
    do {
      const page = await this.#api.getStatementResult({
        Id: id,
        ...(next !== undefined && { NextToken: next }),
      });
      rows.push(...(page.Records ?? []).map((record) => record.map(text)));
      next = page.NextToken;
    } while (next !== undefined);
    return rows;
  }

  async #ended(id: string | undefined, sql: string): Promise<string> {
    if (id === undefined) throw new StatementError(`the Data API gave no statement id for: ${sql}`);
    for (let wait = 10; ; wait = Math.min(wait * 2, 2000)) {
      const { Status, Error: why } = await this.#api.describeStatement({ Id: id });
      if (Status === "FINISHED") return id;
      if (Status === "FAILED" || Status === "ABORTED") {
        throw new StatementError(`statement ${id} ${Status}: ${why ?? "no reason given"}\n${sql}`);
      }
      await this.#pause(wait);
    }
  }
}
