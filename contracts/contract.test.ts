import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect } from "chai";
import { contractsBundle, contractsDir, loadAll } from "./bundle.ts";
import { breakingChanges, type ContractsLock, findProblems, lockOf } from "./check.ts";
import { type Contract, ContractError, parseContract } from "./contract.ts";
import { glueType, icebergType, parseColumnType, redshiftType } from "./types.ts";

const head = (name: string, custom: string): string => `
apiVersion: v3.1.0
kind: DataContract
id: urn:test:${name}
name: ${name}
version: 1.0.0
status: active
team: {name: test}
description: {purpose: A test.}
customProperties: [${custom}]
schema:
  - name: ${name}
    properties:
`;
const line = (text: string): string => `      - {${text}}\n`;
const key = line(
  "name: id, physicalType: varchar(10), primaryKey: true, primaryKeyPosition: 1, required: true",
);
const zone = (value: string): string => `{property: zone, value: ${value}}`;

function problemsOf(text: string): readonly string[] {
  try {
    parseContract("x.yaml", text);
  } catch (error) {
    if (error instanceof ContractError) return error.problems;
    throw error;
  }
  throw new Error("the contract was accepted");
}

describe("contract", () => {
  it("loads every contract of the repository", async () => {
    const contracts = await loadAll([contractsDir]);
    const revenue = contracts.find(({ name }) => name === "category_revenue");
    expect(contracts.length).to.be.at.least(14);
    expect(revenue?.key).to.deep.equal(["revenue_date", "region", "category"]);
    expect(revenue?.partitions).to.deep.equal(["region", "revenue_date"]);
    expect(revenue?.warehouse).to.deep.equal({
      table: "category_revenue",
      load: "replace",
      by: "revenue_date",
    });
    const history = contracts.find(({ name }) => name === "order_history");
    expect(history?.columns.filter(({ personal }) => personal).map(({ name }) => name)).to.include(
      "customer_name",
    );
  });

  it("bundles the documents as they were read, with the reference data", async () => {
    const bundle = await contractsBundle([contractsDir]);
    const orders = bundle.contracts.find((document) => document.name === "orders");
    expect(JSON.stringify(orders)).to.contain('"partitionTransform"').and.not.contain('"relationships":[]');
    expect(bundle.reference.regions["us-east"]?.time_zone).to.equal("America/New_York");
  });

  it("says all problems of a contract at once, each with file, column, value and what is allowed", () => {
    const text =
      head("t", `${zone("curated")}, {property: warehouse, value: {table: t, load: replace, by: day}}`) +
      key +
      line("name: price, physicalType: money") +
      line("name: price, physicalType: int") +
      line("name: region, physicalType: varchar(5), partitioned: true") +
      line("name: note, physicalType: varchar(99999), relationships: [{to: nowhere}]");
    const problems = problemsOf(text).join("\n");
    expect(problems).to.contain(
      "x.yaml: column 'price': physicalType 'money' is unknown; allowed: varchar(1..65535)",
    );
    expect(problems).to.contain("x.yaml: column 'price' is defined twice");
    expect(problems).to.contain("x.yaml: column 'region': partitioned has no partitionKeyPosition");
    expect(problems).to.contain("x.yaml: column 'note': physicalType 'varchar(99999)' is unknown");
    expect(problems).to.contain("relationship to 'nowhere' must be <table>.<column>");
  });

  const cases: [string, string, string][] = [
    [
      "a column without a name",
      head("t", zone("staging")) + line("physicalType: int"),
      "column number 1: name is missing",
    ],
    ["an unknown zone", head("t", zone("gold")) + key, `custom property 'zone' is "gold"`],
    ["no columns", `${head("t", zone("staging")).trimEnd()} []\n`, "must list at least one column"],
    ["text that is no YAML", "name: [", "x.yaml: not YAML"],
    [
      "a load by a column that is not there",
      head("t", `${zone("curated")}, {property: warehouse, value: {table: t, load: replace, by: day}}`) + key,
      "warehouse.by 'day' is not a column; the columns are id",
    ],
    [
      "a table without a key",
      head("t", `${zone("curated")}, {property: warehouse, value: {table: t, load: merge}}`) +
        line("name: a, physicalType: int"),
      "there is no primary key; mark the columns",
    ],
    [
      "a gap in the key's positions",
      head("t", zone("staging")) +
        line("name: a, physicalType: int, primaryKey: true, primaryKeyPosition: 2, required: true"),
      "column 'a': primaryKeyPosition 2 where 1 is expected",
    ],
    [
      "a version column that is not there",
      head("t", `${zone("staging")}, {property: versionColumn, value: v}`) + key,
      "versionColumn 'v' is not a column",
    ],
    ["a source that feeds nothing", head("t", zone("source")) + key, "zone 'source' needs feeds"],
    [
      "a column with a name of the export's own",
      head("t", `${zone("curated")}, {property: warehouse, value: {table: t, load: merge}}`) +
        key +
        line("name: batch_id, physicalType: int"),
      "column 'batch_id' is added to every exported table",
    ],
    ...[
      "{kind: mysql, table: t, watermark: w, partitionColumn: id, reconcille: true}",
      "{kind: dynamodb, table: t, reconcille: true}",
      "{kind: csv, prefix: drops/t/, reconcille: true}",
      "{kind: csv, prefix: drops/t/, dialect: {reconcille: true}}",
    ].map((source): [string, string, string] => [
      `a misspelt key in ${source}`,
      head("t", `${zone("source")}, {property: source, value: ${source}}`) + key,
      "reconcille",
    ]),
    [
      "a misspelt key of a warehouse table",
      head("t", `${zone("curated")}, {property: warehouse, value: {table: t, load: merge, bye: day}}`) + key,
      "bye",
    ],
    [
      "a misspelt key of conform",
      head("t", zone("staging")) +
        key +
        line(
          "name: region, physicalType: varchar(9), customProperties: [{property: conform, value: {refernce: regions}}]",
        ),
      "refernce",
    ],
    [
      "a misspelt custom property",
      head("t", "{property: wharehouse, value: {}}") + key,
      "custom property 'wharehouse' is unknown; known here are zone, feeds",
    ],
    [
      "a misspelt custom property of a column",
      head("t", "") + line("name: a, physicalType: int, customProperties: [{property: format, value: [x]}]"),
      "column 'a': custom property 'format' is unknown; known here are sourceName, formats",
    ],
    [
      "a custom property given twice",
      head("t", `${zone("staging")}, ${zone("curated")}`) + key,
      "custom property 'zone' is given twice",
    ],
    [
      "a decimal in plain Parquet",
      head("t", `${zone("curated")}, {property: storage, value: parquet}`) +
        key +
        line('name: a, physicalType: "decimal(9,2)"'),
      "storage 'parquet' has no decimals",
    ],
    [
      "a log format whose field is none of its columns",
      head(
        "t",
        `${zone("curated")}, {property: source, value: {kind: logs, formats: [{name: f, prefix: a/, syntax: csv, columns: [t, u], fields: {time: t, request: r}}]}}`,
      ) + key,
      "f: 'r' is none of its columns t, u",
    ],
  ];
  for (const [what, text, message] of cases) {
    it(`refuses ${what}`, () => {
      expect(problemsOf(text).join("\n")).to.contain(message);
    });
  }

  it("refuses a hash column of another type, and a hash or a summary of columns that are not there", () => {
    const text =
      head("t", "{property: summaries, value: [{dimension: region, measure: id}]}") +
      line(
        "name: id, physicalType: varchar(64), primaryKey: true, primaryKeyPosition: 1, required: true, " +
          "customProperties: [{property: hashExcept, value: [row_no]}]",
      );
    const problems = problemsOf(text).join("\n");
    expect(problems).to.contain("hashExcept of 'id': 'row_no' is not a column");
    expect(problems).to.contain("must be char(64), not varchar(64)");
    expect(problems).to.contain("summaries: dimension 'region' is not a column");
    expect(problems).to.contain("summaries: measure 'id' is varchar(64); exact sums need");
  });

  it("loads a user's own contract, whose zone follows from its warehouse table", async () => {
    const superstore = path.join(contractsDir, "../examples/superstore/superstore.yaml");
    const contract = (await loadAll([contractsDir, superstore])).find(
      ({ name }) => name === "superstore_orders",
    );
    expect(contract?.zone).to.equal("curated");
    expect(contract?.key).to.deep.equal(["line_key"]);
    expect(contract?.columns[0]?.hashExcept).to.deep.equal(["row_id"]);
    expect(contract?.summaries).to.deep.include({ dimension: "region", measure: "sales" });
  });

  it("maps types to each engine", () => {
    const names = ["varchar(20)", "decimal(18,4)", "smallint", "double", "timestamp"].map((text) => {
      const type = parseColumnType(text);
      return type ? [redshiftType(type), icebergType(type), glueType(type)] : [];
    });
    expect(names).to.deep.equal([
      ["VARCHAR(20)", "string", "string"],
      ["DECIMAL(18,4)", "decimal(18,4)", "decimal(18,4)"],
      ["INTEGER", "int", "int"],
      ["DOUBLE PRECISION", "double", "double"],
      ["TIMESTAMP", "timestamp", "timestamp"],
    ]);
    for (const wrong of ["varchar", "varchar(0)", "decimal(39,2)", "decimal(4,5)", "INT", "int "]) {
      expect(parseColumnType(wrong), wrong).to.equal(undefined);
    }
  });
});

describe("contracts together", () => {
  const parse = (name: string, custom: string, columns: string): Contract =>
    parseContract(`${name}.yaml`, head(name, custom) + columns);
  const table = parse(
    "t",
    zone("staging"),
    key + line("name: amount, physicalType: int, required: true") + line("name: note, physicalType: int"),
  );
  const source = (columns: string, feeds = "t"): Contract =>
    parse(
      "s",
      `${zone("source")}, {property: feeds, value: ${feeds}}, {property: precedence, value: 1}`,
      columns,
    );

  it("refuses feeds to a contract that is not there", () => {
    expect(findProblems([table, source(key, "u")]).join()).to.contain(
      "s.yaml: feeds 'u': there is no such contract",
    );
  });

  it("refuses a source that lacks a required column of its table, unless that has a default", () => {
    expect(findProblems([table, source(key)]).join()).to.contain(
      "s.yaml: lacks column 'amount', which 't' requires (t.yaml)",
    );
    const amount = "name: amount, physicalType: int, required: true";
    const defaulted = parse(
      "t",
      zone("staging"),
      key + line(`${amount}, customProperties: [{property: conform, value: {default: 0}}]`),
    );
    expect(findProblems([defaulted, source(key)])).to.deep.equal([]);
    expect(findProblems([table, source(key + line(amount))])).to.deep.equal([]);
  });

  it("refuses relationships to a missing table, a missing column, another type", () => {
    const refer = (to: string): Contract =>
      parse(
        "r",
        zone("staging"),
        key + line(`name: ref, physicalType: varchar(10), relationships: [{to: ${to}}]`),
      );
    expect(findProblems([table, refer("u.id")]).join()).to.contain("there is no contract 'u'");
    expect(findProblems([table, refer("t.di")]).join()).to.contain("'t' has no such column (t.yaml)");
    expect(findProblems([table, refer("t.amount")]).join()).to.contain(
      "types differ: varchar(10) here, int there",
    );
    expect(findProblems([table, refer("t.id")])).to.deep.equal([]);
  });

  it("names the consumer that a breaking change breaks", () => {
    const withView = (columns: string): Contract =>
      parse(
        "t",
        `${zone("curated")}, {property: warehouse, value: {table: orders, load: merge}}`,
        key + columns,
      );
    const refers = parse(
      "r",
      zone("staging"),
      key + line("name: ref, physicalType: int, relationships: [{to: t.amount}]"),
    );
    const published = lockOf([withView(line("name: amount, physicalType: int, required: true")), refers]);
    const after = (columns: string): string =>
      breakingChanges([withView(columns), refers], published).join("\n");
    expect(after("")).to.contain("t.yaml: column 'amount' int required is gone; it breaks");
    expect(after("")).to.contain("the warehouse view mart.orders").and.contain("the relationship of r.ref");
    expect(after(line("name: amount, physicalType: bigint, required: true"))).to.contain(
      "was int required and is bigint required",
    );
    expect(after(line("name: amount, physicalType: int"))).to.contain("was required and may be null now");
    expect(breakingChanges([refers], published).join()).to.contain(
      "contract 't' 1.0.0 is gone; it breaks the relationship of r.ref",
    );
    const added =
      line("name: amount, physicalType: int, required: true") + line("name: more, physicalType: int");
    expect(after(added)).to.equal("");
    const raised = parseContract(
      "t.yaml",
      (head("t", zone("curated")) + key).replace("version: 1.0.0", "version: 2.0.0"),
    );
    expect(breakingChanges([raised, refers], published)).to.deep.equal([]);
  });

  it("keeps what is published: no contract of the repository breaks a consumer, and the lock is current", async () => {
    const contracts = await loadAll([contractsDir]);
    const text = await readFile(path.join(contractsDir, "contracts.lock.json"), "utf8");
    const published = JSON.parse(text) as ContractsLock;
    expect(breakingChanges(contracts, published), "breaking changes").to.deep.equal([]);
    expect(lockOf(contracts), "not published yet: npx tsx contracts/update-lock.ts").to.deep.equal(published);
  });
});
