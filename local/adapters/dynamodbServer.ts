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
    await createLedgerTable(plain);
  } catch (error) {
    await close();
    throw error;
  }
  return { client, endpoint, ledgerTable, close };
}

async function createLedgerTable(client: DynamoDBClient): Promise<void> {
  try {
    await client.send(
      new CreateTableCommand({
        TableName: ledgerTable,
        BillingMode: "PAY_PER_REQUEST",
        KeySchema: [
          { AttributeName: "pk", KeyType: "HASH" },
          { AttributeName: "sk", KeyType: "RANGE" },
        ],
        AttributeDefinitions: [
          { AttributeName: "pk", AttributeType: "S" },
          { AttributeName: "sk", AttributeType: "S" },
        ],
      }),
    );
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  // The server activates a table a moment after it has answered.
  const waiter = { client, maxWaitTime: 10, minDelay: 1, maxDelay: 1 };
  if (!(await isActive(client))) await waitUntilTableExists(waiter, { TableName: ledgerTable });
}

async function isActive(client: DynamoDBClient): Promise<boolean> {
  const { Table } = await client.send(new DescribeTableCommand({ TableName: ledgerTable }));
  return Table?.TableStatus === "ACTIVE";
}
