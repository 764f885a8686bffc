import { S3Client } from "@aws-sdk/client-s3";
import { z } from "zod";
import { contractOf } from "../../../contracts/contract.ts";
import { S3ObjectStore } from "../../../functions/shared/objectStore.ts";
import { type RedshiftDataApi, SqlRunner } from "../../../warehouse/dataApi.ts";
import { migrate } from "../../../warehouse/migrate.ts";
import { type ApiCall, lambdaApi } from "../signed.ts";

const event = z.object({
  contracts: z.object({ bucket: z.string().min(1), key: z.string().min(1) }),
  workgroup: z.string().min(1),
  database: z.string().min(1),
  secretArn: z.string().min(1),
  members: z.object({ loader: z.array(z.string()), bi_reader: z.array(z.string()) }),
});
const bundle = z.object({ contracts: z.array(z.looseObject({ name: z.string() })) });
const statement = z.object({ Id: z.string() });
const description = z.looseObject({ Status: z.string(), Error: z.string().optional() });
const field = z.object({
  isNull: z.boolean().optional(),
  booleanValue: z.boolean().optional(),
  longValue: z.number().optional(),
  doubleValue: z.number().optional(),
  stringValue: z.string().optional(),
});
const result = z.object({ Records: z.array(z.array(field)).optional(), NextToken: z.string().optional() });

/** The Redshift Data API over signed requests. */
export function redshiftData(call: ApiCall): RedshiftDataApi {
  const send = (operation: string, body: object): Promise<unknown> =>
    call({ service: "redshift-data", method: "POST", path: "/", target: `RedshiftData.${operation}`, body });
  return {
    batchExecuteStatement: async (input) => statement.parse(await send("BatchExecuteStatement", input)),
    executeStatement: async (input) => statement.parse(await send("ExecuteStatement", input)),
    describeStatement: async (input) => description.parse(await send("DescribeStatement", input)),
    getStatementResult: async (input) => result.parse(await send("GetStatementResult", input)),
  };
}

/**
 * Brings the warehouse to the contracts, as its administrator: schemas, roles, their members, tables, views, grants.
 * Changes nothing when all is as it should be.
 *
 * @param input `{contracts, workgroup, database, secretArn, members}`
 * @returns how many statements ran
 */
export async function migrateWarehouse(
  input: unknown,
  call: ApiCall,
  readText: (bucket: string, key: string) => Promise<string>,
): Promise<{ statements: number }> {
  const { contracts, workgroup, database, secretArn, members } = event.parse(input);
  const { bucket, key } = contracts;
  const documents = bundle.parse(JSON.parse(await readText(bucket, key))).contracts;
  const sql = new SqlRunner(redshiftData(call), {
    WorkgroupName: workgroup,
    Database: database,
    SecretArn: secretArn,
  });
  const ran = await migrate(
    sql,
    documents.map((document) => contractOf(`s3://${bucket}/${key}: ${document.name}`, document)),
    { database, members },
  );
  return { statements: ran.length };
}

/** The Lambda function; its bundle carries warehouse/schema.sql. */
export const handler = (input: unknown): Promise<{ statements: number }> => {
  const store = new S3ObjectStore(new S3Client({}));
  return migrateWarehouse(input, lambdaApi(), (bucket, key) => store.getText(bucket, key));
};
