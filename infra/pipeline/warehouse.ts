import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { readArea, readSecret, useKey } from "../lib/grants.ts";
import { type Statement, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import { type DataSafety, statefulOptions } from "../lib/retention.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import type { Artifact } from "../package/artifacts.ts";
import type { PrivateServices } from "./network.ts";

/** What migrating the warehouse calls from inside the VPC. */
export const warehouseServices: PrivateServices = {
  "redshift-data": [
    "redshift-data:BatchExecuteStatement",
    "redshift-data:DescribeStatement",
    "redshift-data:ExecuteStatement",
    "redshift-data:GetStatementResult",
  ],
};

/** Name of the database. */
export const warehouseDatabase = "warehouse";

export interface WarehouseArgs {
  readonly place: pulumi.Input<Place>;
  /** RPU while a query runs; nothing is billed in between. @default 8 */
  readonly baseCapacity?: pulumi.Input<number>;
  /** RPU at most. @default 16 */
  readonly maxCapacity?: pulumi.Input<number>;
  /** RPU hours a month. @default 100 */
  readonly monthlyRpuHours?: pulumi.Input<number>;
  /** What happens at that limit: `log`, `emit-metric` or `deactivate`. @default "deactivate" */
  readonly atLimit?: pulumi.Input<string>;
  /** Seconds until a query is stopped; taken when the workgroup is made, changed as docs/deploy.md says. @default 900 */
  readonly maxQuerySeconds?: pulumi.Input<number>;
  /** Three subnets in three zones. */
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  readonly securityGroupId: pulumi.Input<string>;
  /** Where exports for COPY lie. */
  readonly curatedBucket: pulumi.Input<string>;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  readonly secretsKeyArn: pulumi.Input<string>;
  /** IAM roles and users that may take the BI role. */
  readonly biPrincipals: readonly pulumi.Input<string>[];
  /** Names of the IAM roles that load. */
  readonly loaderRoles: readonly pulumi.Input<string>[];
  /** Contracts that tables are made from: where they lie, and hashes whose change migrates. */
  readonly contracts: {
    readonly bucket: pulumi.Input<string>;
    readonly key: pulumi.Input<string>;
    readonly hashes: Readonly<Record<string, string>>;
  };
  /** What the migrating function has in common with others. */
  readonly functionDefaults: FunctionDefaults;
  readonly migrateBundle: Artifact;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number>;
  readonly safety?: DataSafety;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  readonly transform?: {
    readonly namespace?: Transform<aws.redshiftserverless.NamespaceArgs>;
    readonly workgroup?: Transform<aws.redshiftserverless.WorkgroupArgs>;
  };
}

const logExports = ["connectionlog", "useractivitylog", "userlog"] as const;

/**
 * Redshift Serverless, closed: in the VPC, TLS only, its administrator's password managed in Secrets Manager, usage
 * limited. Its schema and grants come from a migration that each deployment runs; people read through one role.
 *
 * @example
 * const warehouse = new Warehouse("shop-dev", {
 *   place, functionDefaults, migrateBundle: bundle, ...keys,
 *   subnetIds: network.subnetIds,
 *   securityGroupId: network.warehouseGroup.id,
 *   curatedBucket: lake.bucketNames.curated,
 *   contracts: { bucket: lake.bucketNames.artifacts, key: "contracts.json", hashes: { contracts: "…" } },
 *   loaderRoles: ["shop-dev-workflow"],
 *   biPrincipals: ["arn:aws:iam::111122223333:role/analysts"],
 * });
 * warehouse.workgroupName;
 */
export class Warehouse extends pulumi.ComponentResource {
  readonly namespace: aws.redshiftserverless.Namespace;
  readonly workgroup: aws.redshiftserverless.Workgroup;
  readonly workgroupName: pulumi.Output<string>;
  readonly workgroupArn: pulumi.Output<string>;
  /** The role that BI takes. */
  readonly biRole: WorkloadRole | undefined;
  readonly nodes: {
    readonly copyRole: WorkloadRole;
    readonly migrator: PrivateFunction;
    readonly migration: aws.lambda.Invocation;
    readonly logGroups: readonly aws.cloudwatch.LogGroup[];
  };

  constructor(name: string, args: WarehouseArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Warehouse", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const safety = args.safety ?? {};

    const copyRole = createCopyRole();
    const logGroups = logExports.map(createLogGroup);
    this.namespace = createNamespace(copyRole);
    this.workgroup = createWorkgroup(this.namespace);
    this.workgroupName = this.workgroup.workgroupName;
    this.workgroupArn = this.workgroup.arn;
    limitUsage(this.workgroup);
    this.biRole = args.biPrincipals.length > 0 ? createBiRole(this.workgroup) : undefined;
    const migrator = createMigrator(this.namespace, this.workgroup);
    const migration = migrate(migrator, this.namespace, this.workgroup, this.biRole);
    this.nodes = { copyRole, migrator, migration, logGroups };
    this.registerOutputs({ workgroupName: this.workgroupName, database: warehouseDatabase });

    function createCopyRole(): WorkloadRole {
      return new WorkloadRole(
        `${name}-copy`,
        {
          place: args.place,
          description: `COPY of exports into ${name}`,
          trust: {
            document: pulumi.jsonStringify({
              Version: "2012-10-17",
              Statement: [
                {
                  Sid: "AssumedByService",
                  Effect: "Allow",
                  Action: "sts:AssumeRole",
                  Principal: { Service: ["redshift-serverless.amazonaws.com", "redshift.amazonaws.com"] },
                },
              ],
            }),
          },
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            exports: readArea(arns, { zone: "exports", bucket: args.curatedBucket, prefixes: ["exports/"] }),
            keys: [
              {
                sid: "DecryptExports",
                actions: ["kms:Decrypt"],
                resources: [args.dataKeyArn],
                conditions: { StringEquals: { "kms:ViaService": arns.viaService("s3") } },
              },
            ],
          },
        },
        { parent },
      );
    }

    function createLogGroup(kind: string): aws.cloudwatch.LogGroup {
      return new aws.cloudwatch.LogGroup(
        `${name}-${kind}`,
        {
          name: `/aws/redshift/${name}/${kind}`,
          retentionInDays: args.logRetentionDays ?? 30,
          kmsKeyId: args.logsKeyArn,
        },
        { parent },
      );
    }

    function createNamespace(role: WorkloadRole): aws.redshiftserverless.Namespace {
      return new aws.redshiftserverless.Namespace(
        ...transformed(
          args.transform?.namespace,
          name,
          {
            namespaceName: name,
            dbName: warehouseDatabase,
            adminUsername: "warehouse_admin",
            manageAdminPassword: true,
            adminPasswordSecretKmsKeyId: args.secretsKeyArn,
            kmsKeyId: args.dataKeyArn,
            iamRoles: [role.arn],
            defaultIamRoleArn: role.arn,
            logExports: [...logExports],
          },
          { parent, dependsOn: [role, ...logGroups], ...statefulOptions(safety) },
        ),
      );
    }

    function createWorkgroup(namespace: aws.redshiftserverless.Namespace): aws.redshiftserverless.Workgroup {
      return new aws.redshiftserverless.Workgroup(
        ...transformed(
          args.transform?.workgroup,
          name,
          {
            workgroupName: name,
            namespaceName: namespace.namespaceName,
            baseCapacity: args.baseCapacity ?? 8,
            maxCapacity: args.maxCapacity ?? 16,
            enhancedVpcRouting: true,
            publiclyAccessible: false,
            subnetIds: args.subnetIds,
            securityGroupIds: [args.securityGroupId],
            configParameters: [
              { parameterKey: "require_ssl", parameterValue: "true" },
              {
                parameterKey: "max_query_execution_time",
                parameterValue: pulumi.interpolate`${args.maxQuerySeconds ?? 900}`,
              },
            ],
          },
          // AWS answers with parameters that nobody set, some of which the provider refuses to be given: every later
          // deployment would differ, and fail. https://github.com/hashicorp/terraform-provider-aws/issues/49939
          { parent, ignoreChanges: ["configParameters"] },
        ),
      );
    }

    function limitUsage(workgroup: aws.redshiftserverless.Workgroup): void {
      new aws.redshiftserverless.UsageLimit(
        `${name}-compute`,
        {
          resourceArn: workgroup.arn,
          usageType: "serverless-compute",
          period: "monthly",
          amount: args.monthlyRpuHours ?? 100,
          breachAction: args.atLimit ?? "deactivate",
        },
        { parent },
      );
    }

    function createBiRole(workgroup: aws.redshiftserverless.Workgroup): WorkloadRole {
      return new WorkloadRole(
        `${name}-bi`,
        {
          place: args.place,
          description: `Reads the marts of ${name}`,
          trust: {
            document: pulumi.jsonStringify({
              Version: "2012-10-17",
              Statement: [
                {
                  Sid: "NamedPrincipals",
                  Effect: "Allow",
                  Action: "sts:AssumeRole",
                  Principal: { AWS: args.biPrincipals },
                },
              ],
            }),
          },
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            query: [
              {
                sid: "QueryWarehouse",
                actions: ["redshift-data:ExecuteStatement", "redshift-serverless:GetCredentials"],
                resources: [workgroup.arn],
              },
              ownStatements("redshift-data:CancelStatement"),
            ],
          },
        },
        { parent },
      );
    }

    // A statement has no ARN: who may see it is decided by who ran it.
    function ownStatements(...more: string[]): Statement {
      return {
        sid: "OwnStatements",
        actions: [...more, "redshift-data:DescribeStatement", "redshift-data:GetStatementResult"],
        resources: ["*"],
        conditions: { StringEquals: { "redshift-data:statement-owner-iam-userid": `$\{aws:userid}` } },
      };
    }

    function createMigrator(
      namespace: aws.redshiftserverless.Namespace,
      workgroup: aws.redshiftserverless.Workgroup,
    ): PrivateFunction {
      const adminSecret = namespace.adminPasswordSecretArn;
      return new PrivateFunction(
        `${name}-migrate-warehouse`,
        {
          ...args.functionDefaults,
          description: "Brings the warehouse to the contracts at deployment",
          bundle: args.migrateBundle,
          timeoutSeconds: 900,
          policies: {
            contracts: readArea(arns, {
              zone: "contracts",
              bucket: args.contracts.bucket,
              prefixes: ["contracts.json"],
            }),
            warehouse: [
              {
                sid: "MigrateWarehouse",
                actions: ["redshift-data:BatchExecuteStatement", "redshift-data:ExecuteStatement"],
                resources: [workgroup.arn],
              },
              ownStatements(),
              readSecret(adminSecret),
              ...useKey(arns, args.secretsKeyArn, { decrypt: ["secretsmanager"] }, "secrets"),
            ],
          },
        },
        { parent },
      );
    }

    function migrate(
      migrator: PrivateFunction,
      namespace: aws.redshiftserverless.Namespace,
      workgroup: aws.redshiftserverless.Workgroup,
      biRole: WorkloadRole | undefined,
    ): aws.lambda.Invocation {
      return new aws.lambda.Invocation(
        `${name}-migrate-warehouse`,
        {
          functionName: migrator.function.name,
          input: pulumi.jsonStringify({
            contracts: { bucket: args.contracts.bucket, key: args.contracts.key },
            workgroup: workgroup.workgroupName,
            database: warehouseDatabase,
            secretArn: namespace.adminPasswordSecretArn,
            members: {
              loader: args.loaderRoles.map((role) => pulumi.interpolate`IAMR:${role}`),
              bi_reader: biRole ? [pulumi.interpolate`IAMR:${biRole.roleName}`] : [],
            },
          }),
          triggers: { ...args.contracts.hashes, code: args.migrateBundle.sha256 },
        },
        { parent, dependsOn: [migrator] },
      );
    }
  }
}
