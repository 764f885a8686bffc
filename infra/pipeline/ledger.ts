import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type DataSafety, statefulOptions } from "../lib/retention.ts";
import { type Transform, transformed } from "../lib/transform.ts";

export interface LedgerArgs {
  readonly dataKeyArn: pulumi.Input<string>;
  readonly safety?: DataSafety;
  readonly transform?: { readonly table?: Transform<aws.dynamodb.TableArgs> };
}

/**
 * The pipeline's memory: watermarks, claimed objects, batches, and the one lease that lets one run at a time.
 *
 * @example
 * const ledger = new Ledger("shop-dev", { dataKeyArn: keys.dataKeyArn });
 * ledger.table.name; // "shop-dev-ledger"
 */
export class Ledger extends pulumi.ComponentResource {
  readonly table: aws.dynamodb.Table;

  constructor(name: string, args: LedgerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Ledger", name, {}, opts);
    const safety = args.safety ?? {};
    this.table = new aws.dynamodb.Table(
      ...transformed(
        args.transform?.table,
        `${name}-ledger`,
        {
          name: `${name}-ledger`,
          billingMode: "PAY_PER_REQUEST",
          onDemandThroughput: { maxReadRequestUnits: 1000, maxWriteRequestUnits: 1000 },
          hashKey: "pk",
          rangeKey: "sk",
          attributes: [
            { name: "pk", type: "S" },
            { name: "sk", type: "S" },
          ],
          serverSideEncryption: { enabled: true, kmsKeyArn: args.dataKeyArn },
          pointInTimeRecovery: { enabled: true, recoveryPeriodInDays: 35 },
          deletionProtectionEnabled: safety.protect ?? true,
        },
        { parent: this, ...statefulOptions(safety) },
      ),
    );
    this.registerOutputs({ tableName: this.table.name });
  }
}
