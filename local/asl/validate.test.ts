import { expect } from "chai";

import type { StateMachineDefinition } from "../../workflow/asl.ts";
import { InvalidDefinitionError } from "./errors.ts";
import { runStateMachine } from "./run.ts";
import { validateDefinition } from "./validate.ts";

const resource = "arn:aws:states:::lambda:invoke";
const handler = async () => null;

/** The problems of a machine with one state T; definitions come from JSON, so they can be anything. */
function problems(state: object, machine: object = {}): string[] {
  const definition = { QueryLanguage: "JSONata", StartAt: "T", States: { T: state }, ...machine };
  const parsed: StateMachineDefinition = JSON.parse(JSON.stringify(definition));
  return validateDefinition(parsed, { [resource]: handler });
}

const pass = { Type: "Pass", End: true };
const task = { Type: "Task", Resource: resource, End: true };
const map = { Type: "Map", End: true, ItemProcessor: { StartAt: "I", States: { I: pass } } };

/** What is refused, the machine it is in, and what the message says. */
const refused: [string, object, string, object?][] = [
  ["JSONPath machines", pass, 'QueryLanguage: must be "JSONata"', { QueryLanguage: "JSONPath" }],
  ["JSONPath states", { ...pass, QueryLanguage: "JSONPath" }, "QueryLanguage"],
  ["JSONPath fields", { ...pass, ResultPath: "$.x" }, 'Unrecognized key: "ResultPath"'],
  ["JSONPath keys", { ...pass, Output: { "a.$": "$.b" } }, "is JSONPath"],
  ["unknown fields", { ...task, Credentials: {} }, 'States.T: Unrecognized key: "Credentials"'],
  ["unknown state types", { Type: "Loop", End: true }, "States.T"],
  [
    "distributed maps",
    { ...map, ItemProcessor: { ...map.ItemProcessor, ProcessorConfig: { Mode: "DISTRIBUTED" } } },
    "ProcessorConfig.Mode",
  ],
  ["tolerated failures", { ...map, ToleratedFailureCount: 1 }, 'Unrecognized key: "ToleratedFailureCount"'],
  ["item readers", { ...map, ItemReader: {} }, 'Unrecognized key: "ItemReader"'],
  [
    "resources without a handler",
    { ...task, Resource: "arn:aws:states:::sns:publish" },
    "has no handler; there are: arn:aws:states:::lambda:invoke",
  ],
  ["a missing start", pass, "StartAt: there is no state 'X' beside it", { StartAt: "X" }],
  ["transitions to nowhere", { Type: "Pass", Next: "X" }, "T: there is no state 'X' beside it"],
  ["states that nothing leads to", pass, "U: no state leads to it", { States: { T: pass, U: pass } }],
  ["two ends", { ...pass, Next: "T" }, "T: needs either Next or End"],
  ["no end", { Type: "Pass" }, "T: needs either Next or End"],
  ["the same name twice", { ...map, ItemProcessor: { StartAt: "T", States: { T: pass } } }, "two states 'T'"],
  [
    "branches that leave",
    { ...map, ItemProcessor: { StartAt: "I", States: { I: { Type: "Pass", Next: "T" } } } },
    "T/0/I: there is no state 'T'",
  ],
  ["Wait without a time", { Type: "Wait", End: true }, "needs either Seconds or Timestamp"],
  [
    "Wait with two",
    { Type: "Wait", Seconds: 1, Timestamp: "2026-01-01T00:00:00Z", End: true },
    "needs either Seconds or Timestamp",
  ],
  [
    "timestamps without an offset",
    { Type: "Wait", Timestamp: "2026-01-01T00:00:00", End: true },
    "no RFC 3339",
  ],
  [
    "a heartbeat as long as the timeout",
    { ...task, TimeoutSeconds: 5, HeartbeatSeconds: 5 },
    "must be less than TimeoutSeconds",
  ],
  ["a timeout of 0", { ...task, TimeoutSeconds: 0 }, "TimeoutSeconds"],
  [
    "States.ALL beside others",
    { ...task, Retry: [{ ErrorEquals: ["States.ALL", "A"] }] },
    "stands alone and last",
  ],
  [
    "States.ALL before others",
    {
      ...task,
      Catch: [
        { ErrorEquals: ["States.ALL"], Next: "T" },
        { ErrorEquals: ["A"], Next: "T" },
      ],
    },
    "stands alone and last",
  ],
  [
    "errors that nobody can handle",
    { ...task, Retry: [{ ErrorEquals: ["States.Runtime"] }] },
    "'States.Runtime' cannot be handled",
  ],
  [
    "a largest delay below the first",
    { ...task, Retry: [{ ErrorEquals: ["A"], IntervalSeconds: 9, MaxDelaySeconds: 9 }] },
    "must be more than IntervalSeconds",
  ],
  [
    "a backoff below 1",
    { ...task, Retry: [{ ErrorEquals: ["A"], BackoffRate: 0.5 }] },
    "Retry[0].BackoffRate",
  ],
  [
    "another jitter",
    { ...task, Retry: [{ ErrorEquals: ["A"], JitterStrategy: "HALF" }] },
    "Retry[0].JitterStrategy",
  ],
  [
    "conditions that are no expressions",
    { Type: "Choice", Choices: [{ Condition: "true", Next: "T" }] },
    "Choices[0].Condition: must be an expression",
  ],
  [
    "Choice with Assign of its own",
    { Type: "Choice", Choices: [{ Condition: "{% true %}", Next: "T" }], Assign: {} },
    'Unrecognized key: "Assign"',
  ],
  ["Fail without a name", { Type: "Fail" }, "States.T.Error"],
  ["expressions that do not parse", { ...pass, Output: "{% 1 + %}" }, "'1 +' is not JSONata"],
  ["half an expression", { ...pass, Output: "{% 1" }, "has only one of the delimiters"],
  ["$eval", { ...pass, Output: "{% $eval('1') %}" }, "$eval is disabled"],
  [
    "functions that do not exist",
    { ...pass, Output: "{% $frobnicate(1) %}" },
    "$frobnicate is neither a function nor assigned",
  ],
  ["variables that nobody assigns", { ...pass, Output: "{% $plam.id %}" }, "$plam is neither"],
  ["names without a context", { ...pass, Output: "{% input.x %}" }, "'input' has no context here"],
  ["$ without a context", { ...pass, Output: "{% $.x %}" }, "'$' has no context here"],
  [
    "$states.result before there is one",
    { ...task, Arguments: "{% $states.result %}" },
    "no $states.result here, only input, context",
  ],
  [
    "$states.errorOutput outside a Catch",
    { ...task, Output: "{% $states.errorOutput.Error %}" },
    "no $states.errorOutput here",
  ],
  ["the variable states", { ...pass, Assign: { states: 1 } }, "'states' cannot be the name of a variable"],
  ["variables with odd names", { ...pass, Assign: { "a-b": 1 } }, "'a-b' cannot be the name of a variable"],
  [
    "assigning a variable of an outer scope",
    {
      ...map,
      Assign: { v: 1 },
      ItemProcessor: { StartAt: "I", States: { I: { ...pass, Assign: { v: 2 } } } },
    },
    "variable 'v' belongs to an outer scope",
  ],
];

describe("definitions that are refused", () => {
  for (const [what, state, message, machine] of refused) {
    it(what, () => {
      expect(problems(state, machine).join("\n")).to.include(message);
    });
  }

  it("all problems at once, before anything runs", async () => {
    const definition = {
      QueryLanguage: "JSONata",
      StartAt: "T",
      States: { T: { ...task, Arguments: "{% $nope %}" }, U: pass },
    };
    let calls = 0;
    const events: unknown[] = [];
    const run = runStateMachine(
      JSON.parse(JSON.stringify(definition)),
      {},
      {
        tasks: {
          [resource]: async () => {
            calls += 1;
            return null;
          },
        },
        onEvent: (event) => events.push(event),
      },
    );
    const error = await run.catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(InvalidDefinitionError).with.property("problems").with.length(2);
    expect([calls, events.length]).to.deep.equal([0, 0]);
  });

  it("a resource that two patterns match", () => {
    const definition: StateMachineDefinition = JSON.parse(
      JSON.stringify({ QueryLanguage: "JSONata", StartAt: "T", States: { T: task } }),
    );
    const found = validateDefinition(definition, { "arn:aws:*": handler, "arn:*:lambda:invoke": handler });
    expect(found).to.deep.equal([
      `T: resource '${resource}' matches several handlers: arn:aws:*, arn:*:lambda:invoke`,
    ]);
  });
});

describe("definitions that are accepted", () => {
  const accepted: [string, object][] = [
    [
      "names inside a path, a predicate, a sort and a group",
      { ...pass, Output: "{% $states.input.a[b = 1].c^(d){e: $sum(f)} %}" },
    ],
    [
      "variables bound in the expression",
      { ...pass, Output: "{% ($x := 1; $map([1], function($v, $i) { $v + $i + $x })) %}" },
    ],
    ["$ inside a filter", { ...pass, Output: "{% $states.input.a[$ > 1] %}" }],
    ["position and focus variables", { ...pass, Output: "{% $states.input.a#$i@$e.{'i': $i, 'e': $e.x} %}" }],
    [
      "errorOutput in a Catch",
      { ...task, Catch: [{ ErrorEquals: ["A"], Output: "{% $states.errorOutput %}", Next: "T" }] },
    ],
    ["a member named Assign in an Output", { ...pass, Output: { Assign: { "a-b": 1 } } }],
  ];
  for (const [what, state] of accepted) {
    it(what, () => expect(problems(state)).to.deep.equal([]));
  }
});
