import { expect } from "chai";
import { prodStack } from "../testing.ts";
import type { BlindMutant } from "./blind.ts";
import { gaps } from "./explanations.ts";
import { nameOf, tryBlind } from "./survivors.ts";

const mutant = (type: string, property: string, kind: BlindMutant["kind"]): BlindMutant => ({
  urn: "u",
  type,
  property,
  key: "k",
  kind,
  inputs: {},
});

describe("explanations of blind mutants", () => {
  it("fit the type, the property and the kind that they name, and nothing beside", () => {
    const isExplained = (...of: Parameters<typeof mutant>): boolean =>
      gaps([mutant(...of)]).unexplained.length === 0;
    expect(isExplained("aws:glue/job:Job", "defaultArguments.--landing", "removed")).to.equal(true);
    expect(isExplained("aws:glue/job:Job", "defaultArguments.--landing", "flipped")).to.equal(false);
    expect(isExplained("aws:glue/job:Job", "defaultArguments.--another", "removed")).to.equal(false);
    expect(isExplained("aws:glue/job:Job", "xdefaultArguments.--landing", "removed")).to.equal(false);
    expect(isExplained("aws:glue/crawler:Crawler", "defaultArguments.--landing", "removed")).to.equal(false);
    expect(
      isExplained("aws:sfn/stateMachine:StateMachine", "definition:States.*.Arguments.KmsKeyId", "removed"),
    ).to.equal(false);
  });

  it("are stale when nothing survives any more that they are about", () => {
    expect(gaps([]).stale).not.to.be.empty;
  });

  it("are there for every survivor in the prod stack, and none is stale @slow", async function () {
    this.timeout(600_000);
    const { counts, survivors } = tryBlind(await prodStack());
    const { unexplained, stale } = gaps([...survivors.values()].map((each) => each.mutant));
    expect(unexplained.map(nameOf)).to.deep.equal([]);
    expect(stale.map(({ type, property, kind }) => `${type} ${property} ${kind}`)).to.deep.equal([]);
    for (const [kind, { made, found }] of counts) {
      expect(made, kind).to.be.greaterThan(found);
      expect(found, kind).to.be.greaterThan(0);
    }
  });
});
