import { createRequire } from "node:module";

import { expect } from "chai";

import { reachable, validateDefinition } from "../local/asl/validate.ts";
import { nestedGraphs, type State, type StateGraph } from "./asl.ts";
import { renderDefinition } from "./definition.ts";
import { longestJobMinutes } from "./tasks.ts";
import { names } from "./testing/stubs.ts";

// Both are CommonJS, and the first has no typings.
const require = createRequire(import.meta.url);
const aslValidator: (
  definition: unknown,
  options: { checkPaths: boolean; checkArn: boolean },
) => { isValid: boolean; errorsText: (separator: string) => string } = require("asl-validator");
const aslService: typeof import("amazon-states-language-service") = require("amazon-states-language-service");

const definition = renderDefinition(names);

function allGraphs(graph: StateGraph): StateGraph[] {
  return [graph, ...Object.values(graph.States).flatMap(nestedGraphs).flatMap(allGraphs)];
}

const allStates = (): [string, State][] =>
  allGraphs(definition).flatMap(({ States }) => Object.entries(States));

async function languageServiceProblems(machine: unknown): Promise<string[]> {
  const service = aslService.getLanguageService({});
  const text = JSON.stringify(machine, null, 2);
  const document = aslService.TextDocument.create("file://definition.asl.json", "json", 1, text);
  const problems = await service.doValidation(document, service.parseJSONDocument(document));
  return problems.map(({ message, range }) => `line ${range.start.line}: ${message}`);
}

describe("workflow definition", () => {
  it("is valid for asl-validator", () => {
    const { isValid, errorsText } = aslValidator(JSON.parse(JSON.stringify(definition)), {
      checkPaths: true,
      checkArn: true,
    });
    expect(isValid, errorsText("\n")).to.equal(true);
  });

  it("is valid for amazon-states-language-service", async () => {
    expect(await languageServiceProblems(definition)).to.deep.equal([]);
  });

  it("would not be valid with a transition to nowhere, says each of the two", async () => {
    const broken = JSON.parse(JSON.stringify(definition));
    broken.States.Clean.Next = "Cleaner";
    expect(aslValidator(broken, { checkPaths: true, checkArn: true }).isValid).to.equal(false);
    expect(await languageServiceProblems(broken)).not.to.have.length(0);
  });

  it("is valid for the local interpreter: every expression parses, every state is reached", () => {
    const handler = async () => null;
    const tasks = {
      "arn:aws:states:::lambda:invoke": handler,
      "arn:aws:states:::glue:startJobRun.sync": handler,
      "arn:aws:states:::databrew:startJobRun.sync": handler,
      "arn:aws:states:::emr-serverless:startJobRun.sync": handler,
      "arn:aws:states:::states:startExecution": handler,
      "arn:aws:states:::aws-sdk:*": handler,
    };
    expect(validateDefinition(definition, tasks)).to.deep.equal([]);
  });

  it("gives every Task retries with backoff and jitter, a Catch for all errors and a timeout", () => {
    const tasks = allStates().filter(([, state]) => state.Type === "Task");
    expect(tasks).to.have.length.above(19);
    for (const [name, state] of tasks) {
      if (state.Type !== "Task") continue;
      expect(state.TimeoutSeconds, name).to.be.a("number");
      expect(state.Retry, name).to.have.length.above(1);
      for (const retrier of state.Retry ?? []) {
        expect(retrier, name).to.include.keys(
          "IntervalSeconds",
          "BackoffRate",
          "MaxAttempts",
          "MaxDelaySeconds",
        );
        expect(retrier.JitterStrategy, name).to.equal("FULL");
      }
      expect(state.Catch?.at(-1)?.ErrorEquals, name).to.deep.equal(["States.ALL"]);
    }
  });

  it("catches every error of a Parallel or Map", () => {
    for (const [name, state] of allStates()) {
      if (state.Type !== "Parallel" && state.Type !== "Map") continue;
      expect(state.Catch?.at(-1)?.ErrorEquals, name).to.deep.equal(["States.ALL"]);
    }
  });

  it("waits longer for a Glue job than the job may run, so that none goes on beside the next run", () => {
    let jobs = 0;
    for (const [name, state] of allStates()) {
      if (state.Type !== "Task" || !state.Resource.endsWith(":glue:startJobRun.sync")) continue;
      jobs += 1;
      const { Timeout = longestJobMinutes } = state.Arguments as { Timeout?: number };
      expect(state.TimeoutSeconds, name).to.be.greaterThan(Timeout * 60);
    }
    expect(jobs).to.be.greaterThan(10);
  });

  it("has no way from a failure to a success", () => {
    let failures = 0;
    for (const graph of allGraphs(definition)) {
      for (const [name, state] of Object.entries(graph.States)) {
        // By then the warehouse has the batch: that tables could not be kept up, or the next run not be started, fails
        // nothing, the output tells.
        if (["Maintain", "StartNext"].includes(name)) continue;
        const afterFailure = [
          ...("Catch" in state ? (state.Catch ?? []) : []),
          ...(state.Type === "Choice"
            ? state.Choices.filter(({ Assign }) => /failure/i.test(Object.keys(Assign ?? {}).join()))
            : []),
        ];
        for (const { Next } of afterFailure) {
          failures += 1;
          const ends = [...reachable(graph, Next)]
            .map((name) => graph.States[name])
            .filter((one) => one !== undefined && isEnd(one));
          expect(ends.map((one) => one?.Type)).to.deep.equal(["Fail"]);
        }
      }
    }
    expect(failures).to.be.above(25);
  });

  it("stays below the size that Step Functions accepts", () => {
    expect(Buffer.byteLength(JSON.stringify(definition))).to.be.below(1024 * 1024);
  });

  it("depends on nothing but the names", () => {
    expect(renderDefinition(names)).to.deep.equal(definition);
    const china = JSON.stringify(renderDefinition({ ...names, partition: "aws-cn" }));
    expect(china).to.include("arn:aws-cn:states:::lambda:invoke").and.not.include("arn:aws:states");
  });

  it("does not score where there is no job for it", () => {
    const { fraud: _, ...without } = names;
    const { States } = renderDefinition(without);
    expect(States).not.to.have.property("ScoreFraud");
    expect(States.Curate).to.have.property("Next", "Export");
    expect(States.Export).to.have.property("Type", "Task");
  });

  it("signs in to the warehouse with a secret where there is one", () => {
    const secretArn = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:loader";
    const text = JSON.stringify(renderDefinition({ ...names, warehouse: { ...names.warehouse, secretArn } }));
    expect(text).to.include(`"SecretArn":"${secretArn}"`);
    expect(JSON.stringify(definition)).not.to.include("SecretArn");
  });
});

function isEnd(state: State): boolean {
  return state.Type === "Succeed" || state.Type === "Fail" || ("End" in state && state.End === true);
}
