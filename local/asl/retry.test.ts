import { expect } from "chai";

import type { Retrier, TaskState } from "../../workflow/asl.ts";
import { errorMatches, TaskError } from "./errors.ts";
import { RetryPolicy } from "./retry.ts";
import { execute, machine } from "./testing/harness.ts";

const resource = "arn:aws:states:::lambda:invoke";

function task(fields: Partial<TaskState>): TaskState {
  return { Type: "Task", Resource: resource, End: true, ...fields };
}

/** The delays of a retrier that is asked `times` times. */
function delays(retrier: Partial<Retrier>, times: number, random = () => 0.5): (number | undefined)[] {
  const policy = new RetryPolicy([{ ErrorEquals: ["States.ALL"], ...retrier }], random);
  return Array.from({ length: times }, () => policy.delayAfter("Error"));
}

describe("Retry", () => {
  it("waits 1, 2, 4 seconds when nothing is said", () => {
    expect(delays({}, 4)).to.deep.equal([1, 2, 4, undefined]);
  });

  it("grows the interval by BackoffRate up to MaxDelaySeconds", () => {
    const retrier = { IntervalSeconds: 3, BackoffRate: 1.5, MaxDelaySeconds: 6, MaxAttempts: 4 };
    expect(delays(retrier, 5)).to.deep.equal([3, 4.5, 6, 6, undefined]);
  });

  it("takes FULL jitter between nothing and the delay, after the cap", () => {
    const retrier: Partial<Retrier> = { IntervalSeconds: 10, MaxDelaySeconds: 15, JitterStrategy: "FULL" };
    expect(delays(retrier, 3, () => 0.1)).to.deep.equal([1, 1.5, 1.5]);
    expect(delays(retrier, 2, () => 0)).to.deep.equal([0, 0]);
    expect(delays({ ...retrier, JitterStrategy: "NONE" }, 2)).to.deep.equal([10, 15]);
  });

  it("counts each retrier for itself", () => {
    const policy = new RetryPolicy(
      [
        { ErrorEquals: ["A"], MaxAttempts: 1, IntervalSeconds: 10 },
        { ErrorEquals: ["States.ALL"], MaxAttempts: 2 },
      ],
      Math.random,
    );
    expect(["A", "B", "B", "B"].map((error) => policy.delayAfter(error))).to.deep.equal([
      10,
      1,
      2,
      undefined,
    ]);
    expect(policy.delayAfter("A")).to.equal(undefined);
  });

  it("matches errors by name and by the wildcards of the language", () => {
    const matched = (pattern: string) =>
      [
        "Own",
        "States.Timeout",
        "States.HeartbeatTimeout",
        "States.DataLimitExceeded",
        "States.Runtime",
      ].filter((error) => errorMatches([pattern], error));
    expect(matched("States.ALL")).to.deep.equal(["Own", "States.Timeout", "States.HeartbeatTimeout"]);
    expect(matched("States.TaskFailed")).to.deep.equal(["Own"]);
    expect(matched("States.Timeout")).to.deep.equal(["States.Timeout", "States.HeartbeatTimeout"]);
    expect(matched("States.HeartbeatTimeout")).to.deep.equal(["States.HeartbeatTimeout"]);
    expect(matched("States.DataLimitExceeded")).to.deep.equal(["States.DataLimitExceeded"]);
    expect(matched("States.Runtime")).to.deep.equal([]);
    expect(matched("Own")).to.deep.equal(["Own"]);
  });

  it("waits the delays between the attempts and reports them", async () => {
    const state = task({ Retry: [{ ErrorEquals: ["Flaky"], IntervalSeconds: 5, MaxAttempts: 2 }] });
    let calls = 0;
    const flaky = async () => {
      calls += 1;
      if (calls < 3) throw new TaskError("Flaky", `call ${calls}`);
      return calls;
    };
    const { result, events, clock } = await execute(
      machine({ T: state }),
      {},
      { tasks: { [resource]: flaky } },
    );
    expect(result).to.deep.equal({ status: "SUCCEEDED", output: 3 });
    expect(clock.slept).to.deep.equal([5000, 10_000]);
    const retries = events.filter(({ type }) => type === "TaskRetried");
    expect(retries).to.deep.equal([
      {
        type: "TaskRetried",
        state: "T",
        scope: "",
        error: "Flaky",
        cause: "call 1",
        retryCount: 1,
        delaySeconds: 5,
        timestamp: retries[0]?.timestamp,
      },
      {
        type: "TaskRetried",
        state: "T",
        scope: "",
        error: "Flaky",
        cause: "call 2",
        retryCount: 2,
        delaySeconds: 10,
        timestamp: retries[1]?.timestamp,
      },
    ]);
  });

  it("waits no longer than the execution allows", async () => {
    const state = task({ Retry: [{ ErrorEquals: ["States.ALL"], IntervalSeconds: 60, MaxAttempts: 1 }] });
    const tasks = { [resource]: () => Promise.reject(new Error("broken")) };
    const { result, clock } = await execute(machine({ T: state }), {}, { tasks, longestWait: 2 });
    expect(result).to.deep.equal({ status: "FAILED", error: "States.TaskFailed", cause: "broken" });
    expect(clock.slept).to.deep.equal([2000]);
  });

  it("starts to count anew when the state is entered again", async () => {
    const definition = machine({
      T: task({
        Retry: [{ ErrorEquals: ["Flaky"], MaxAttempts: 1 }],
        Catch: [{ ErrorEquals: ["Flaky"], Next: "Again" }],
      }),
      Again: { Type: "Pass", Next: "T" },
    });
    let calls = 0;
    const fourth = async () => {
      calls += 1;
      if (calls < 4) throw new TaskError("Flaky", "");
      return calls;
    };
    const { result } = await execute(definition, {}, { tasks: { [resource]: fourth } });
    expect(result).to.deep.equal({ status: "SUCCEEDED", output: 4 });
  });
});
