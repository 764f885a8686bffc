import { DescribeContinuousBackupsCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ExportableTables } from "./dynamodb.ts";
import type { Restorable } from "./exportWindows.ts";

/** Tables of an account with point-in-time recovery. Needs dynamodb:DescribeContinuousBackups on them. */
export class DynamodbTables implements ExportableTables {
  readonly #client: DynamoDBClient;
  readonly #arns: Readonly<Record<string, string>>;

  /** @param arns ARN of each table by the name that contracts use */
  constructor(client: DynamoDBClient, arns: Readonly<Record<string, string>>) {
    this.#client = client;
    this.#arns = arns;
  }

  arn(table: string): string {
    const arn = this.#arns[table];
    if (!arn) {
      const known = Object.keys(this.#arns).join(", ") || "none";
      throw new Error(
        `no ARN is configured for the DynamoDB table "${table}" of a contract (known: ${known})`,
      );
    }
    return arn;
  }

  async restorable(table: string): Promise<Restorable> {
    const TableName = this.arn(table);
    const answer = await this.#client.send(new DescribeContinuousBackupsCommand({ TableName }));
    const recovery = answer.ContinuousBackupsDescription?.PointInTimeRecoveryDescription;
    const earliest = recovery?.EarliestRestorableDateTime;
    const latest = recovery?.LatestRestorableDateTime;
    if (recovery?.PointInTimeRecoveryStatus !== "ENABLED" || !earliest || !latest) {
      throw new Error(`${TableName} cannot be exported: switch point-in-time recovery on for the table`);
    }
    return { earliest, latest };
  }

  /** DynamoDB does not say whether anything changed; an export of a quiet window is empty and costs next to nothing. */
  async hasChanges(): Promise<boolean> {
    return true;
  }
}
