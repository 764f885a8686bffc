import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { z } from "zod";
import { awsDeps, type Deps, numberFrom, required } from "../shared/context.ts";
import { readSecret } from "../shared/secrets.ts";
import type { ExportableTables } from "./dynamodb.ts";
import { DynamodbTables } from "./dynamodbTables.ts";
import type { WindowLimits } from "./exportWindows.ts";
import type { SourceDatabase } from "./mysql.ts";
import { MysqlDatabase, mysqlSecretSchema } from "./mysqlDatabase.ts";

/** What planning needs beside what every handler needs. */
export interface PlanDeps extends Deps {
  readonly database: SourceDatabase;
  readonly tables: ExportableTables;
  readonly windowLimits: WindowLimits;
  /** Hours between two reconciliations of a table's keys. */
  readonly reconcileHours: number;
}

/** Composes the planning step's dependencies on AWS. A pipeline without MySQL needs none of MYSQL_*. */
export function awsPlanDeps(): PlanDeps {
  const arns = z.record(z.string(), z.string()).parse(JSON.parse(process.env.DYNAMODB_TABLE_ARNS ?? "{}"));
  const secret = async () =>
    mysqlSecretSchema.parse(JSON.parse(await readSecret(required("MYSQL_SECRET_ID"))));
  const endpoint = () => ({
    host: required("MYSQL_HOST"),
    port: numberFrom("MYSQL_PORT", 3306, 1),
    database: required("MYSQL_DATABASE"),
    tls: true,
  });
  return {
    ...awsDeps(),
    database: new MysqlDatabase(endpoint, secret),
    tables: new DynamodbTables(new DynamoDBClient({}), arns),
    windowLimits: {
      minimumSeconds: numberFrom("EXPORT_MINIMUM_SECONDS", 15 * 60, 1),
      maximumSeconds: numberFrom("EXPORT_MAXIMUM_SECONDS", 24 * 3600, 1),
    },
    reconcileHours: numberFrom("RECONCILE_HOURS", 24, 0),
  };
}
