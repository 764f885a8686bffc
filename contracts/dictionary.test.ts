import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { contractsDir, loadAll } from "./bundle.ts";
import { parseContract } from "./contract.ts";
import { dictionaryFile, dictionaryOf } from "./dictionary.ts";

describe("data dictionary", () => {
  it("is what the contracts say", async () => {
    const [written, contracts] = await Promise.all([
      readFile(dictionaryFile, "utf8"),
      loadAll([contractsDir]),
    ]);
    const remedy = "it is stale; write it again with: node local/setup.mjs tsx contracts/dictionary.ts";
    expect(written, remedy).to.equal(dictionaryOf(contracts));
  });

  it("marks every personal column, and no other", async () => {
    const contracts = await loadAll([contractsDir]);
    const marked = dictionaryOf(contracts).match(/^\| `\w+` \*\*personal\*\* /gm) ?? [];
    const personal = contracts.flatMap(({ columns }) => columns.filter((column) => column.personal));
    expect(marked.length).to.equal(personal.length).and.to.be.above(0);
    expect(marked).to.include("| `email` **personal** ");
  });

  it("says of a column its key, partition, name at the source and reference, and escapes what breaks a table", () => {
    const contract = parseContract(
      "t.yaml",
      `
apiVersion: v3.1.0
kind: DataContract
name: t
version: 1.0.0
team: {name: test}
description: {purpose: A test.}
customProperties: [{property: zone, value: curated}, {property: warehouse, value: {table: t, load: replace, by: day}}]
schema:
  - name: t
    properties:
      - {name: day, physicalType: date, primaryKey: true, primaryKeyPosition: 1, required: true, partitioned: true, partitionKeyPosition: 1, customProperties: [{property: partitionTransform, value: month}, {property: sourceName, value: The Day}], description: "a | b"}
      - {name: other, physicalType: int, relationships: [{to: u.id}], description: Points there}
`,
    );
    const text = dictionaryOf([contract]);
    expect(text).to.contain("| `day` | date | yes | key 1, partition 1 (month) | `The Day` | a \\| b |");
    expect(text).to.contain("| `other` | int |  |  |  | Points there → `u.id` |");
    expect(text).to.contain("warehouse: `stage.t`, read as `mart.t` (replaced by `day`)");
    expect(text).to.contain("Origin: computed from other tables");
  });
});
