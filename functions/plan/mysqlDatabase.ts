import { isIP } from "node:net";
import { type Connection, createConnection, type RowDataPacket } from "mysql2/promise";
import { z } from "zod";
import type { SourceDatabase } from "./mysql.ts";

/** The fields that every secret of RDS has. */
export const mysqlSecretSchema = z.object({ username: z.string().min(1), password: z.string() });
export type MysqlSecret = z.infer<typeof mysqlSecretSchema>;

export interface MysqlEndpoint {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** False only for a server on the same machine, in tests. */
  readonly tls: boolean;
}

const connectTimeoutMs = 10_000;

/** MySQL's literal for an instant, in the session's time zone UTC. */
const literal = (instant: Date): string => instant.toISOString().replace("T", " ").replace("Z", "");

function identifier(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new Error(
      `"${name}" is no table or column name; check source.table and source.watermark in the contract`,
    );
  }
  return `\`${name}\``;
}

/**
 * The source database over the MySQL protocol. The server's certificate and name are checked; on Lambda
 * NODE_EXTRA_CA_CERTS=/var/runtime/ca-cert.pem adds the authorities of RDS.
 */
export class MysqlDatabase implements SourceDatabase {
  readonly #endpoint: () => MysqlEndpoint;
  readonly #secret: () => Promise<MysqlSecret>;

  /** Endpoint and secret are read when the first question is asked: a pipeline without MySQL has neither. */
  constructor(endpoint: () => MysqlEndpoint, secret: () => Promise<MysqlSecret>) {
    this.#endpoint = endpoint;
    this.#secret = secret;
  }

  async now(): Promise<Date> {
    const sql = "SELECT FLOOR(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000) AS answer";
    return new Date(await this.#ask(sql, []));
  }

  async hasChanges(table: string, column: string, since: Date): Promise<boolean> {
    const where = `${identifier(column)} > ?`;
    const sql = `SELECT EXISTS (SELECT 1 FROM ${identifier(table)} WHERE ${where}) AS answer`;
    return (await this.#ask(sql, [literal(since)])) === 1;
  }

  // A connection a question: a run asks a dozen, and a connection kept open over frozen Lambdas goes stale.
  async #ask(sql: string, values: string[]): Promise<number> {
    const { host, port, database, tls } = this.#endpoint();
    if (tls && isIP(host) !== 0) {
      throw new Error(
        `the MySQL host ${host} is an address; give its name, which the server's certificate must hold`,
      );
    }
    const { username, password } = await this.#secret();
    let connection: Connection | undefined;
    try {
      connection = await createConnection({
        host,
        port,
        user: username,
        password,
        database,
        timezone: "Z",
        connectTimeout: connectTimeoutMs,
        ...(tls && { ssl: { verifyIdentity: true, minVersion: "TLSv1.2" } }),
      });
      await connection.query("SET time_zone = '+00:00'");
      const [rows] = await connection.query<RowDataPacket[]>(sql, values);
      return Number(rows[0]?.answer);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`MySQL at ${host}:${port}/${database} did not answer "${sql}": ${why}`, {
        cause: error,
      });
    } finally {
      await connection?.end();
    }
  }
}
