/**
 * Only BI reads the warehouse: principals × objects × actions, by the rendered IAM documents and by the grants of the
 * embedded database after the migration that the stack runs. What this does not prove: Redshift's own enforcement.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { contractsOf } from "../../local/deployment.ts";
import { Warehouse } from "../../local/warehouse/warehouse.ts";
import { SqlRunner } from "../../warehouse/dataApi.ts";
import { migrate } from "../../warehouse/migrate.ts";
import { stackGraph } from "../graph/stack-graph.ts";
import { exercises, grantsOf, Stack } from "./calls.ts";

interface Migration {
  readonly secretArn: string;
  readonly members: { readonly loader: string[]; readonly bi_reader: string[] };
}

describe("who reads the warehouse", function () {
  this.timeout(60_000);
  let stack: Stack;
  let migration: Migration;
  before(async () => {
    stack = new Stack(await stackGraph("prod"));
    const invocation = stack
      .ofType("aws:lambda/invocation:Invocation")
      .find(({ name }) => name.endsWith("-migrate-warehouse"));
    migration = JSON.parse(String(invocation?.inputs.input)) as Migration;
  });

  it("is, by IAM, the analysts' role and those that load and migrate, each by its own way in", () => {
    const workgroup = stack.arnOf("aws:redshiftserverless/workgroup:Workgroup");
    const ways: Readonly<Record<string, string>> = {
      "redshift-serverless:GetCredentials": workgroup,
      "redshift-data:ExecuteStatement": workgroup,
      "redshift-data:BatchExecuteStatement": workgroup,
      "redshift-data:GetStatementResult": "*",
      "secretsmanager:GetSecretValue": migration.secretArn,
    };
    const matrix = Object.entries(ways).map(([action, resource]): [string, string[]] => [
      action,
      stack.roles.filter((role) =>
        grantsOf(stack, role).some((grant) => exercises({ role, action, resource, context: {} }, grant)),
      ),
    ]);
    expect(Object.fromEntries(matrix)).to.deep.equal({
      "redshift-serverless:GetCredentials": ["bi", "workflow"],
      "redshift-data:ExecuteStatement": ["bi", "migrate-warehouse"],
      "redshift-data:BatchExecuteStatement": ["migrate-warehouse", "workflow"],
      // The workflow learns whether a load ended well, never a row.
      "redshift-data:GetStatementResult": ["bi", "migrate-warehouse"],
      "secretsmanager:GetSecretValue": ["migrate-warehouse"],
    });
    expect(migration.members).to.deep.equal({
      loader: [`IAMR:${stack.name}-workflow`],
      bi_reader: [`IAMR:${stack.name}-bi`],
    });
  });

  it("is, by the database's grants, BI alone on mart, and the loader alone on stage", async () => {
    const lake = await mkdtemp(path.join(tmpdir(), "securecart-"));
    const warehouse = await Warehouse.open({ lake });
    try {
      const { contracts } = await contractsOf(undefined);
      await migrate(new SqlRunner(warehouse.dataApi("owner")), [...contracts], {
        database: warehouse.database,
        members: migration.members,
      });
      const [bi = "", loader = ""] = [...migration.members.bi_reader, ...migration.members.loader];
      const objects = await warehouse.query(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('stage', 'mart') ORDER BY 1, 2",
        { as: "owner" },
      );
      expect(objects.rows.length).to.be.at.least(8);
      for (const [schema, table] of objects.rows) {
        for (const user of [bi, loader, "public"]) {
          const held: string[] = [];
          for (const privilege of [
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "TRUNCATE",
            "REFERENCES",
            "TRIGGER",
          ]) {
            const { rows } = await warehouse.query(
              `SELECT has_schema_privilege('${user}', '${schema}', 'USAGE') AND has_table_privilege('${user}', '${schema}.${table}', '${privilege}')`,
              { as: "owner" },
            );
            if (rows[0]?.[0] === "true" || rows[0]?.[0] === "t") held.push(privilege);
          }
          const expected =
            user === bi && schema === "mart"
              ? ["SELECT"]
              : user === loader && schema === "stage"
                ? ["SELECT", "INSERT", "UPDATE", "DELETE"]
                : [];
          expect(held, `${user} on ${schema}.${table}`).to.deep.equal(expected);
        }
      }
    } finally {
      await warehouse.close();
      await rm(lake, { recursive: true, force: true });
    }
  });
});
