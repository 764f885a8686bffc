import type { AddressInfo } from "node:net";
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  ResourceInUseException,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import dynalite from "dynalite";

/** A DynamoDB server in this process, spoken to over the wire, and the ledger's table in it. */
export interface LocalDynamodb {
  readonly client: DynamoDBDocumentClient;
  /** The client below it, which knows no documents. */
  readonly plain: DynamoDBClient;
  readonly endpoint: string;
  readonly ledgerTable: string;
  close(): Promise<void>;
}

const ledgerTable = "securecart-local-ledger";

/**
 * Starts the server on a free port of the loopback interface and creates the ledger's table when it is not there.
 * @param path directory that keeps the tables between runs; in memory when absent. The caller keeps other
 *   processes off it: the server ends the process when it cannot open its store.
 */
export async function startDynamodb(path?: string): Promise<LocalDynamodb> {
  const server = dynalite({ createTableMs: 0, ...(path !== undefined && { path }) });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  const plain = new DynamoDBClient({
    endpoint,
    region: "local",
    // The server takes any signature.
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });
  const client = DynamoDBDocumentClient.from(plain, { marshallOptions: { removeUndefinedValues: true } });
  const close = async (): Promise<void> => {
    client.destroy();
    plain.destroy();
    server.closeAllConnections();
    await new Promise<void>((resolve, reject) =>
      server.close((error) => (error ? reject(error) : resolve())),
    );
  };
  try {
    await ensureTable(plain, ledgerTable, "pk", "sk");
  } catch (error) {
    await close();
    throw error;
  }
  return { client, plain, endpoint, ledgerTable, close };
}

/** Creates a table of string keys unless it is there. */
export async function ensureTable(
  client: DynamoDBClient,
  table: string,
  hashKey: string,
  rangeKey?: string,
): Promise<void> {
  const keys = rangeKey === undefined ? [hashKey] : [hashKey, rangeKey];
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        BillingMode: "PAY_PER_REQUEST",
        KeySchema: keys.map((AttributeName, index) => ({
          AttributeName,
          KeyType: index === 0 ? "HASH" : "RANGE",
        })),
        AttributeDefinitions: keys.map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
      }),
    );
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  // The server activates a table a moment after it has answered.
  const waiter = { client, maxWaitTime: 10, minDelay: 1, maxDelay: 1 };
  if (!(await isActive(client, table))) await waitUntilTableExists(waiter, { TableName: table });
}

async function isActive(client: DynamoDBClient, table: string): Promise<boolean> {
  const { Table } = await client.send(new DescribeTableCommand({ TableName: table }));
  return Table?.TableStatus === "ACTIVE";
}
