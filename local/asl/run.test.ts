import { expect } from "chai";

import type { State, StateGraph, TaskState } from "../../workflow/asl.ts";
import { systemClock } from "./clock.ts";
import { ExecutionAborted, InvalidDefinitionError, TaskError } from "./errors.ts";
import { runStateMachine } from "./run.ts";
import type { TaskContext, TaskHandler } from "./tasks.ts";
import { execute, machine } from "./testing/harness.ts";
import { VirtualClock } from "./testing/virtualClock.ts";

const resource = "arn:aws:states:::glue:startJobRun.sync";

const task = (fields: Partial<TaskState> = {}): TaskState => ({
  Type: "Task",
  Resource: resource,
  End: true,
  ...fields,
});
const graph = (states: Record<string, State>): StateGraph => ({
  StartAt: Object.keys(states)[0] ?? "",
  States: states,
});

/** Resolves when the signal aborts. */
const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));

describe("tasks", () => {
  it("time out, abort their handler, and go on only when it has ended", async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const slow: TaskHandler = async (_, { signal }) => {
      await aborted(signal);
      await clock.sleep(5000, new AbortController().signal);
      log.push("cleaned up");
      return null;
    };
    const definition = machine({
      T: task({ TimeoutSeconds: 60, Catch: [{ ErrorEquals: ["States.Timeout"], Next: "After" }] }),
      After: task({ Resource: "arn:after" }),
    });
    const after: TaskHandler = async () => {
      log.push("after");
      return null;
    };
    const { result } = await execute(
      definition,
      {},
      { tasks: { [resource]: slow, "arn:after": after }, clock },
    );
    expect(result.status).to.equal("SUCCEEDED");
    expect(log).to.deep.equal(["cleaned up", "after"]);
    expect(clock.now()).to.equal(Date.parse("2026-01-01T00:01:05.000Z"));
  });

  it("are left behind after half a minute when they do not end", async () => {
    const stuck: TaskHandler = () => new Promise(() => {});
    const { result, clock } = await execute(
      machine({ T: task({ TimeoutSeconds: 60 }) }),
      {},
      { tasks: { [resource]: stuck } },
    );
    expect(result).to.deep.equal({
      status: "FAILED",
      error: "States.Timeout",
      cause: "The task did not end within its TimeoutSeconds of 60.",
    });
    expect(clock.now()).to.equal(Date.parse("2026-01-01T00:01:30.000Z"));
  });

  it("take their timeout from an expression", async () => {
    const stuck: TaskHandler = async (_, { signal }) => aborted(signal).then(() => null);
    const state = task({ TimeoutSeconds: "{% $states.input.limit %}" });
    const { result, clock } = await execute(
      machine({ T: state }),
      { limit: 7 },
      { tasks: { [resource]: stuck } },
    );
    expect(result).to.include({ error: "States.Timeout" });
    expect(clock.slept).to.include(7000);
    const wrong = await execute(machine({ T: state }), { limit: 0.5 }, { tasks: { [resource]: stuck } });
    expect(wrong.result).to.include({ error: "States.QueryEvaluationError" });
  });

  it("fail without a heartbeat in time, and live on with one", async () => {
    const clock = new VirtualClock();
    const beating =
      (beats: number): TaskHandler =>
      async (_, { heartbeat, signal }) => {
        for (let beat = 0; beat < beats; beat += 1) {
          await clock.sleep(8000, signal);
          heartbeat();
        }
        await clock.sleep(15_000, signal);
        return "done";
      };
    const state = task({ HeartbeatSeconds: 10, TimeoutSeconds: 100 });
    const { result } = await execute(machine({ T: state }), {}, { tasks: { [resource]: beating(3) }, clock });
    expect(result).to.include({ error: "States.HeartbeatTimeout" });
    expect(clock.now()).to.equal(Date.parse("2026-01-01T00:00:34.000Z"));
    const later = new VirtualClock();
    const patient: TaskHandler = async (_, { heartbeat, signal }) => {
      for (let beat = 0; beat < 5; beat += 1) {
        await later.sleep(8000, signal);
        heartbeat();
      }
      return "done";
    };
    const lived = await execute(machine({ T: state }), {}, { tasks: { [resource]: patient }, clock: later });
    expect(lived.result).to.deep.equal({ status: "SUCCEEDED", output: "done" });
  });

  it("get copies, know their attempt, and give JSON", async () => {
    const seen: TaskContext[] = [];
    const handler: TaskHandler = async (args, context) => {
      seen.push(context);
      Object.assign(args ?? {}, { spoilt: true });
      if (context.retryCount === 0) throw new TaskError("Once", "");
      return JSON.parse('{"a":1}');
    };
    const state = task({
      Retry: [{ ErrorEquals: ["Once"] }],
      Output: "{% [$states.input, $states.result] %}",
    });
    const { result } = await execute(
      machine({ T: state }),
      { k: 1 },
      { tasks: { "arn:aws:states:::glue:*": handler } },
    );
    expect(result).to.deep.equal({ status: "SUCCEEDED", output: [{ k: 1 }, { a: 1 }] });
    expect(seen.map(({ retryCount }) => retryCount)).to.deep.equal([0, 1]);
    expect(seen[0]).to.include({ resource, state: "T" });
  });

  it("may not pass more than 256 KiB, and no wildcard catches that", async () => {
    const big =
      (length: number): TaskHandler =>
      async () =>
        "x".repeat(length - 2);
    const state = task({ Catch: [{ ErrorEquals: ["States.ALL"], Next: "H" }] });
    const definition = machine({ T: state, H: { Type: "Pass", End: true } });
    const fits = await execute(definition, {}, { tasks: { [resource]: big(256 * 1024) } });
    expect(fits.result.status).to.equal("SUCCEEDED");
    const over = await execute(definition, {}, { tasks: { [resource]: big(256 * 1024 + 1) } });
    expect(over.result).to.include({ status: "FAILED", error: "States.DataLimitExceeded" });
    const named = machine({
      T: task({ Catch: [{ ErrorEquals: ["States.DataLimitExceeded"], Next: "H" }] }),
      H: { Type: "Pass", Output: "caught", End: true },
    });
    expect((await execute(named, {}, { tasks: { [resource]: big(300_000) } })).result).to.include({
      output: "caught",
    });
  });
});

describe("Wait", () => {
  it("waits for seconds and until a timestamp, which may lie in the past", async () => {
    const definition = machine({
      A: { Type: "Wait", Seconds: 30, Next: "B" },
      B: { Type: "Wait", Timestamp: "{% $states.input.at %}", Next: "C" },
      C: { Type: "Wait", Timestamp: "2020-01-01T00:00:00+02:00", End: true },
    });
    const { clock, result } = await execute(definition, { at: "2026-01-01T01:00:00Z" });
    expect(result.status).to.equal("SUCCEEDED");
    expect(clock.slept).to.deep.equal([30_000, 3_570_000, 0]);
  });

  it("refuses a timestamp that is none", async () => {
    const definition = machine({ A: { Type: "Wait", Timestamp: "{% 'tomorrow' %}", End: true } });
    expect((await execute(definition, {})).result).to.include({ error: "States.QueryEvaluationError" });
  });
});

describe("Parallel and Map", () => {
  it("end the other branches when one fails, and wait until they have ended", async () => {
    const log: string[] = [];
    const stopping: TaskHandler = async (_, { signal }) => {
      await aborted(signal);
      log.push("stopped");
      throw new Error("interrupted");
    };
    const definition = machine({
      P: {
        Type: "Parallel",
        Branches: [
          graph({ Slow: task() }),
          graph({ W: { Type: "Wait", Seconds: 1, Next: "F" }, F: { Type: "Fail", Error: "Boom" } }),
          graph({ Long: { Type: "Wait", Seconds: 1000, End: true } }),
        ],
        Catch: [{ ErrorEquals: ["Boom"], Next: "H" }],
        End: true,
      },
      H: { Type: "Pass", Output: "handled", End: true },
    });
    const { result, clock, events } = await execute(definition, {}, { tasks: { [resource]: stopping } });
    expect(result).to.deep.equal({ status: "SUCCEEDED", output: "handled" });
    expect(log).to.deep.equal(["stopped"]);
    expect(clock.now()).to.equal(Date.parse("2026-01-01T00:00:01.000Z"));
    const failed = events
      .filter(({ type }) => type === "BranchFailed")
      .map((event) => "index" in event && event.index);
    expect(failed).to.deep.equal([1]);
  });

  it("run no more iterations at once than MaxConcurrency, and all at once without it", async () => {
    const widths: number[] = [];
    for (const width of [2, 0]) {
      const clock = new VirtualClock();
      let running = 0;
      let most = 0;
      const counted: TaskHandler = async (args, { signal }) => {
        running += 1;
        most = Math.max(most, running);
        await clock.sleep(1000, signal);
        running -= 1;
        return args;
      };
      const definition = machine({
        M: {
          Type: "Map",
          Items: [1, 2, 3, 4, 5],
          MaxConcurrency: width,
          ItemProcessor: graph({ T: task() }),
          End: true,
        },
      });
      const { result } = await execute(definition, {}, { tasks: { [resource]: counted }, clock });
      expect(result).to.deep.equal({ status: "SUCCEEDED", output: [1, 2, 3, 4, 5] });
      widths.push(most);
    }
    expect(widths).to.deep.equal([2, 5]);
  });

  it("start no further iteration after a failure", async () => {
    const started: unknown[] = [];
    const second: TaskHandler = async (args) => {
      started.push(args);
      if (args === 2) throw new TaskError("Boom", "");
      return args;
    };
    const definition = machine({
      M: { Type: "Map", Items: [1, 2, 3], MaxConcurrency: 1, ItemProcessor: graph({ T: task() }), End: true },
    });
    const { result, events } = await execute(definition, {}, { tasks: { [resource]: second } });
    expect(result).to.include({ error: "Boom" });
    expect(events.filter(({ type }) => type === "IterationStarted")).to.have.length(2);
    expect(started).to.deep.equal([1, 2]);
  });

  it("keep the variables of a branch inside it", async () => {
    const definition = machine({
      P: {
        Type: "Parallel",
        Branches: ["a", "b"].map((name) =>
          graph({
            [`W${name}`]: { Type: "Wait", Seconds: 1, Assign: { own: name }, Next: `X${name}` },
            [`X${name}`]: { Type: "Wait", Seconds: 1, Output: "{% $own %}", End: true },
          }),
        ),
        End: true,
      },
    });
    expect((await execute(definition, {})).result).to.deep.equal({ status: "SUCCEEDED", output: ["a", "b"] });
  });
});

describe("an execution", () => {
  it("reports what happens, in order, with times", async () => {
    const definition = machine({
      W: { Type: "Wait", Seconds: 2, Next: "T" },
      T: task({ Arguments: { k: 1 }, Catch: [{ ErrorEquals: ["States.ALL"], Next: "P" }] }),
      P: { Type: "Pass", End: true },
    });
    const tasks = { [resource]: () => Promise.reject(new TaskError("Boom", "why")) };
    const { events } = await execute(definition, {}, { tasks });
    expect(
      events.map(
        ({ type, timestamp }) => `${(timestamp - Date.parse("2026-01-01T00:00:00Z")) / 1000} ${type}`,
      ),
    ).to.deep.equal([
      "0 ExecutionStarted",
      "0 StateEntered",
      "2 StateExited",
      ...["StateEntered", "TaskScheduled", "TaskFailed", "StateCaught", "StateExited"].map(
        (type) => `2 ${type}`,
      ),
      ...["StateEntered", "StateExited", "ExecutionSucceeded"].map((type) => `2 ${type}`),
    ]);
  });

  it("names itself in the context object", async () => {
    const definition = machine({ P: { Type: "Pass", Output: "{% $states.context %}", End: true } });
    const { result } = await execute(
      definition,
      { k: 1 },
      { executionName: "run-1", machineName: "etl", redriveCount: 2 },
    );
    const time = "2026-01-01T00:00:00.000Z";
    expect(result).to.deep.equal({
      status: "SUCCEEDED",
      output: {
        Execution: {
          Id: "arn:aws:states:local:000000000000:execution:etl:run-1",
          Name: "run-1",
          Input: { k: 1 },
          StartTime: time,
          RoleArn: "arn:aws:iam::000000000000:role/local",
          RedriveCount: 2,
        },
        StateMachine: { Id: "arn:aws:states:local:000000000000:stateMachine:etl", Name: "etl" },
        State: { Name: "P", EnteredTime: time, RetryCount: 0 },
      },
    });
  });

  it("is TIMED_OUT past the machine's TimeoutSeconds, and no Catch runs", async () => {
    const stopping: TaskHandler = async (_, { signal }) => aborted(signal).then(() => null);
    const states = {
      T: task({ Catch: [{ ErrorEquals: ["States.ALL"], Next: "H" }] }),
      H: { Type: "Pass" as const, End: true as const },
    };
    const { result, events } = await execute(
      { ...machine(states), TimeoutSeconds: 90 },
      {},
      { tasks: { [resource]: stopping } },
    );
    expect(result).to.deep.equal({
      status: "TIMED_OUT",
      error: "States.Timeout",
      cause: "The execution did not end within its TimeoutSeconds of 90.",
    });
    expect(events.at(-1)).to.include({ type: "ExecutionTimedOut" });
  });

  it("ends its tasks when it is aborted, and throws ExecutionAborted", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    const stopping: TaskHandler = async (_, { signal }) => {
      setTimeout(() => controller.abort(new Error("Ctrl-C")), 5);
      await aborted(signal);
      log.push("stopped");
      throw new Error("interrupted");
    };
    const states = {
      T: task({
        Retry: [{ ErrorEquals: ["States.ALL"] }],
        Catch: [{ ErrorEquals: ["States.ALL"], Next: "H" }],
      }),
      H: { Type: "Pass" as const, End: true as const },
    };
    const types: string[] = [];
    const run = runStateMachine(
      machine(states),
      {},
      {
        tasks: { [resource]: stopping },
        clock: systemClock,
        signal: controller.signal,
        onEvent: ({ type }) => types.push(type),
      },
    );
    const error = await run.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error)
      .to.be.instanceOf(ExecutionAborted)
      .with.property("message", "The execution was aborted: Ctrl-C");
    expect(log).to.deep.equal(["stopped"]);
    expect(types.at(-1)).to.equal("ExecutionAborted");
    expect(types).to.not.include("StateCaught").and.not.include("TaskRetried");
  });

  it("does not start when it is aborted already", async () => {
    const calls: unknown[] = [];
    const run = runStateMachine(
      machine({ T: task() }),
      {},
      {
        tasks: { [resource]: async (args) => calls.push(args) },
        signal: AbortSignal.abort(new Error("too late")),
      },
    );
    const error = await run.catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(ExecutionAborted);
    expect(calls).to.deep.equal([]);
  });

  it("refuses an input of more than 256 KiB", async () => {
    const run = runStateMachine(machine({ P: { Type: "Pass", End: true } }), "x".repeat(300_000), {
      tasks: {},
    });
    expect(await run.catch((reason: unknown) => reason)).to.be.instanceOf(InvalidDefinitionError);
  });

  it("takes real time on the machine's own clock, and leaves no timer behind", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    await new Promise(setImmediate); // by now the test runner has set its own timer
    const before = timers();
    const definition = machine({
      P: {
        Type: "Parallel",
        Branches: [
          graph({ T: task({ TimeoutSeconds: 3000 }) }),
          graph({ W: { Type: "Wait", Timestamp: "{% $now() %}", End: true } }),
        ],
        End: true,
      },
    });
    const result = await runStateMachine(
      { ...definition, TimeoutSeconds: 4000 },
      {},
      { tasks: { [resource]: async () => 1 } },
    );
    expect(result).to.deep.equal({ status: "SUCCEEDED", output: [1, {}] });
    expect(timers()).to.equal(before);
  });
});
