import { type StepName, steps } from "../functions/shared/plan.ts";
import type { ChoiceRule, JsonObject, State, StateGraph, StateMachineDefinition, TaskState } from "./asl.ts";
import { exportTables } from "./exportTables.ts";
import { loadTables } from "./loadTables.ts";
import type { WorkflowNames } from "./names.ts";
import { sparkTask } from "./sparkJob.ts";
import { callRetry, executionPayload, failTo, failWith, jobTask, lambdaTask, recipeTask } from "./tasks.ts";

/** The state in which each step of the workflow begins; a replay jumps to one of them. */
export const firstStateOf: Record<StepName, string> = {
  extract: "ExportTables",
  recipes: "StageRecipes",
  clean: "Clean",
  quality: "Quality",
  publish: "Publish",
  curate: "Curate",
  export: "Export",
  load: "RenderLoad",
};

/** A run has to end before its lease does. */
const longestRunSeconds = 5 * 3600;

/** The upkeep may take an hour, its second try included. */
const upkeepMinutes = 25;
const latestUpkeepSeconds = longestRunSeconds - 3600;

/**
 * The state machine of the batch pipeline: Plan → Extract → Recipes → Clean → Quality → Publish → Curate → ScoreFraud →
 * Export → Load → Maintain → Commit. It is deployed on Step Functions and executed on a laptop by local/asl/.
 *
 * Variables: `plan` is the planning step's answer (the plan itself is in S3), `publishing` says whether tables have
 * changed that go back should the run fail, `rollbackFailed` that they did not, `rolledBack` names the plan of an earlier
 * run whose tables this one brought back first ("none"), `failure` what went wrong: `{Step, Error, Cause}`, `aftermath`
 * what went wrong while that was handled, `notMaintained` why the upkeep of the tables failed ("none"). Every other failure
 * passes HandleFailure and ends in Failed.
 */
export function renderDefinition(names: WorkflowNames): StateMachineDefinition {
  const onFailure = (step: string) => failTo("HandleFailure", "failure", step);
  const planPayload = {
    execution: executionPayload,
    batchId: "{% $plan.batchId %}",
    planKey: "{% $plan.planKey %}",
  };
  const states: Record<string, State> = {
    Start: {
      Type: "Pass",
      Comment: "Variables that the handling of a failure reads have a value from the beginning.",
      Assign: {
        plan: {},
        publishing: false,
        rollbackFailed: false,
        rolledBack: "none",
        aftermath: [],
        notMaintained: "none",
      },
      Next: "Plan",
    },
    Plan: lambdaTask(
      names,
      "plan",
      {
        execution: executionPayload,
        input: "{% $states.context.Execution.Input %}",
        rolledBack: "{% $rolledBack %}",
      },
      { next: "IsPlanned", onFailure: onFailure("plan") },
    ),
    IsPlanned: {
      Type: "Choice",
      Choices: [
        {
          Condition: "{% $states.input.status = 'PLANNED' %}",
          Assign: { plan: "{% $states.input %}" },
          Next: "StartingStep",
        },
        {
          // An earlier run could not bring its tables back. One that cannot either must not go round in circles.
          Condition: "{% $states.input.status = 'ROLL_BACK' and $states.input.planKey != $rolledBack %}",
          Assign: { plan: "{% $states.input %}" },
          Next: "RollBackFirst",
        },
        { Condition: "{% $states.input.status = 'NOTHING_NEW' %}", Next: "NothingNew" },
        { Condition: "{% $states.input.status = 'BUSY' %}", Next: "Busy" },
        otherwiseFail("plan", "UnknownPlanStatus", "'status ' & $string($states.input.status)"),
      ],
    },
    RollBackFirst: {
      ...jobTask(names, "rollback", { next: "Plan", onFailure: onFailure("rollback of an earlier run") }),
      Assign: { rolledBack: "{% $plan.planKey %}", plan: {} },
    },
    NothingNew: { Type: "Succeed" },
    Busy: { Type: "Succeed", Comment: "Another run holds the lease; it, or the next one, sees the work." },
    StartingStep: {
      Type: "Choice",
      Choices: [
        ...steps.map((step) => ({ Condition: `{% $plan.from = '${step}' %}`, Next: firstStateOf[step] })),
        otherwiseFail("plan", "UnknownStep", "'step ' & $string($plan.from)"),
      ],
    },
    ExportTables: exportTables(names, { Next: "Extract", Catch: [onFailure("extract")] }),
    Extract: {
      Type: "Parallel",
      Branches: [
        optionalJob(names, "hasMysql", "extractMysql", "ExtractMysql"),
        optionalJob(names, "hasDynamodb", "extractDynamodb", "ExtractDynamodb"),
        optionalJob(names, "hasCsv", "csvToParquet", "CsvToParquet"),
      ],
      Output: {},
      Catch: [onFailure("extract")],
      Next: "Recipes",
    },
    // An extraction stages its own batch; a replay or a backfill that begins here reads batches of earlier runs.
    StageRecipes: jobTask(names, "stageRecipes", { next: "Recipes", onFailure: onFailure("recipes") }),
    Recipes: {
      Type: "Map",
      Items: "{% $plan.recipes %}",
      ItemSelector: { dataset: "{% $states.context.Map.Item.Value %}" },
      MaxConcurrency: 2,
      ItemProcessor: {
        ProcessorConfig: { Mode: "INLINE" },
        StartAt: "RunRecipe",
        States: {
          RunRecipe: recipeTask(
            names,
            failTo("RecipeFailed", "recipeFailure", "{% $states.input.dataset %}"),
          ),
          RecipeFailed: failWith("recipeFailure"),
        },
      },
      Output: {},
      Catch: [onFailure("recipes")],
      Next: "Clean",
    },
    Clean: jobTask(names, "clean", { next: "Quality", onFailure: onFailure("clean") }),
    Quality: jobTask(names, "quality", { next: "Verdict", onFailure: onFailure("quality") }),
    Verdict: lambdaTask(names, "verdict", planPayload, { next: "IsPassed", onFailure: onFailure("quality") }),
    IsPassed: {
      Type: "Choice",
      Choices: [
        { Condition: "{% $states.input.verdict = 'PASS' %}", Next: "Publish" },
        {
          ...otherwiseFail("quality", "QualityGateFailed", "'' & $join($states.input.reasons, '; ')"),
          Condition: "{% $states.input.verdict = 'FAIL' %}",
        },
        otherwiseFail("quality", "UnknownVerdict", "'verdict ' & $string($states.input.verdict)"),
      ],
    },
    Publish: {
      ...jobTask(names, "publish", {
        next: "Curate",
        onFailure: failTo("HandleFailure", "failure", "publish", { publishing: true }),
      }),
      Assign: { publishing: true },
    },
    Curate: jobTask(names, "curate", {
      next: names.fraud ? "ScoreFraud" : "Export",
      onFailure: onFailure("curate"),
    }),
    ...(names.fraud && {
      ScoreFraud: sparkTask(names, names.fraud, { next: "Export", onFailure: onFailure("score fraud") }),
    }),
    Export: jobTask(names, "export", { next: "RenderLoad", onFailure: onFailure("export") }),
    RenderLoad: lambdaTask(
      names,
      "renderLoad",
      { batchId: "{% $plan.batchId %}" },
      { next: "Load", onFailure: onFailure("load") },
    ),
    Load: {
      ...loadTables(names, { Next: "IsUpkeepDue", Catch: [onFailure("load")] }),
      // What the warehouse shows stays in the lake: a commit that fails now is made up for by the next run.
      Assign: { publishing: false },
    },
    IsUpkeepDue: {
      Type: "Choice",
      // A run that took long leaves it to the next one that it is due in: it has to commit before it ends.
      Choices: [
        {
          Condition: oneLine(`{% $plan.maintain = true and $toMillis($states.context.State.EnteredTime) -
            $toMillis($states.context.Execution.StartTime) < ${latestUpkeepSeconds * 1000} %}`),
          Next: "Maintain",
        },
      ],
      Default: "Commit",
    },
    Maintain: maintain(names),
    Commit: lambdaTask(names, "commit", planPayload, {
      next: "IsMoreWaiting",
      onFailure: onFailure("commit"),
    }),
    IsMoreWaiting: {
      Type: "Choice",
      Choices: [{ Condition: "{% $states.input.pending %}", Next: "StartNext" }],
      Default: "Loaded",
    },
    // An event that came during the run ended its own execution as BUSY; nothing else would look at its drop soon.
    StartNext: startNext(names),
    Loaded: {
      Type: "Succeed",
      // An object's member without a value is left out.
      Output: oneLine(`{% {'status': 'LOADED', 'batchId': $plan.batchId, 'commit': $states.input,
        'notMaintained': $notMaintained != 'none' ? $notMaintained} %}`),
    },
    ...failureStates(names),
  };
  return {
    Comment: "SecureCart batch pipeline: extract, clean, check, publish, load",
    QueryLanguage: "JSONata",
    TimeoutSeconds: longestRunSeconds,
    StartAt: "Start",
    States: states,
  };
}

/**
 * The upkeep of the tables, in the run's lease, so that nothing else writes them. The warehouse has the batch by now: an
 * upkeep that fails is told in the output, is due again on the next day, and fails nothing.
 */
function maintain(names: WorkflowNames): TaskState {
  const onFailure = {
    ErrorEquals: ["States.ALL"],
    Assign: { notMaintained: "{% $states.errorOutput.Error & ': ' & $states.errorOutput.Cause %}" },
    Next: "Commit",
  };
  return jobTask(names, "maintain", { next: "Commit", onFailure }, upkeepMinutes);
}

/**
 * Starts this machine once more. The run itself is committed: a start that fails is told in its output and fails nothing.
 */
function startNext(names: WorkflowNames): TaskState {
  return {
    Type: "Task",
    Resource: `arn:${names.partition}:states:::states:startExecution`,
    Arguments: { StateMachineArn: "{% $states.context.StateMachine.Id %}", Input: {} },
    Output: "{% $merge([$states.input, {'next': $states.result.ExecutionArn}]) %}",
    TimeoutSeconds: 60,
    Retry: callRetry(["StepFunctions.ExecutionLimitExceededException", "StepFunctions.SdkClientException"]),
    Catch: [
      {
        ErrorEquals: ["States.ALL"],
        Output: "{% $merge([$states.input, {'notStarted': $states.errorOutput}]) %}",
        Next: "Loaded",
      },
    ],
    Next: "Loaded",
  };
}

/** A JSONata text that is written over several lines. */
const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ");

/**
 * The last rule of a Choice: whatever came is a failure.
 * @param cause JSONata text with the value that was not expected; joined by `&`, since a missing value gives
 *   nothing, and an expression that gives nothing would fail the Choice itself
 */
function otherwiseFail(step: string, error: string, cause: string): ChoiceRule {
  const failure = { Step: step, Error: error, Cause: `{% ${cause} %}` };
  return { Condition: "{% true %}", Assign: { failure }, Next: "HandleFailure" };
}

/** A branch that runs a job when the plan has work for it. */
function optionalJob(
  names: WorkflowNames,
  flag: "hasMysql" | "hasDynamodb" | "hasCsv",
  job: keyof WorkflowNames["jobs"],
  state: string,
): StateGraph {
  const variable = `${job}Failure`;
  return {
    StartAt: `Has${state}`,
    States: {
      [`Has${state}`]: {
        Type: "Choice",
        Choices: [{ Condition: `{% $plan.${flag} %}`, Next: state }],
        Default: `No${state}`,
      },
      [state]: jobTask(names, job, {
        next: undefined,
        onFailure: failTo(`${state}Failed`, variable, names.jobs[job]),
      }),
      [`No${state}`]: { Type: "Succeed" },
      [`${state}Failed`]: failWith(variable),
    },
  };
}

/** What happens after any failure: tables back if they were touched, the lease given back, the end in Failed. */
function failureStates(names: WorkflowNames): Record<string, State> {
  const andThen = (what: string): JsonObject => ({
    aftermath: `{% $append($aftermath, [' Besides, ${what}: ' & $states.errorOutput.Cause]) %}`,
  });
  const cause = "$failure.Step & ': ' & $failure.Cause & $join($aftermath)";
  return {
    HandleFailure: {
      Type: "Choice",
      Choices: [{ Condition: "{% $publishing %}", Next: "Rollback" }],
      Default: "Abort",
    },
    Rollback: jobTask(names, "rollback", {
      next: "Abort",
      onFailure: {
        ErrorEquals: ["States.ALL"],
        Assign: { ...andThen("the rollback failed"), rollbackFailed: true },
        Next: "Abort",
      },
    }),
    Abort: lambdaTask(
      names,
      "abort",
      // One expression, because a member without a value is left out: there is no batch before a plan.
      oneLine(`{% {'execution': {'id': $states.context.Execution.Id, 'startTime': $states.context.Execution.StartTime},
        'batchId': $plan.batchId, 'error': $failure.Error, 'rollbackFailed': $rollbackFailed, 'published': $publishing,
        'cause': ${cause}} %}`),
      {
        next: "Failed",
        onFailure: {
          ErrorEquals: ["States.ALL"],
          Assign: andThen("the lease was not released"),
          Next: "Failed",
        },
      },
    ),
    Failed: {
      Type: "Fail",
      Error: "{% $failure.Error %}",
      Cause: `{% ${cause} %}`,
    },
  };
}
