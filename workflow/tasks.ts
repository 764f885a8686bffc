/** Builders of the states that the definition is made of. */
import type { Catcher, FailState, Json, JsonObject, Retrier, TaskState } from "./asl.ts";
import type { WorkflowNames } from "./names.ts";

/** What the steps of the workflow know of the execution, for handlers that note who they work for. */
export const executionPayload: JsonObject = {
  id: "{% $states.context.Execution.Id %}",
  startTime: "{% $states.context.Execution.StartTime %}",
};

/** Errors that come back however often the task is repeated: a refused input, a wrong definition. */
const permanentErrors = ["InvalidInputError", "JobError", "States.QueryEvaluationError"];

const lambdaErrors = [
  "Lambda.AWSLambdaException",
  "Lambda.ClientExecutionTimeoutException",
  "Lambda.SdkClientException",
  "Lambda.ServiceException",
  "Lambda.TooManyRequestsException",
];
const glueErrors = [
  "Glue.ConcurrentRunsExceededException",
  "Glue.InternalServiceException",
  "Glue.OperationTimeoutException",
  "Glue.ResourceNumberLimitExceededException",
  "Glue.ThrottlingException",
];

/** Jitter keeps tasks that failed together from coming back together. */
function retrier(errors: string[], seconds: number, attempts: number, longest: number): Retrier {
  return {
    ErrorEquals: errors,
    IntervalSeconds: seconds,
    BackoffRate: 2,
    MaxAttempts: attempts,
    MaxDelaySeconds: longest,
    JitterStrategy: "FULL",
  };
}

/** Retries of a call: errors of the service patiently, any other failure twice, a permanent one never. */
export function callRetry(serviceErrors: string[]): Retrier[] {
  return [
    retrier(permanentErrors, 1, 0, 2),
    retrier(serviceErrors, 2, 6, 60),
    retrier(["States.TaskFailed", "States.Timeout"], 5, 2, 30),
  ];
}

/** Retries of a job: a busy service patiently, a failed run once (every job can be repeated). */
export function jobRetry(serviceErrors: string[]): Retrier[] {
  return [
    retrier(permanentErrors, 1, 0, 2),
    retrier(serviceErrors, 15, 6, 300),
    retrier(["States.TaskFailed"], 30, 1, 60),
  ];
}

/** How a state goes on: after success, and with any failure. */
export interface Continuation {
  next: string;
  onFailure: Catcher;
}

/**
 * Sends any failure to a state, with `{Step, Error, Cause}` in a variable.
 * @param step name of the step, for people
 * @param assign further variables to set
 */
export function failTo(next: string, variable: string, step: string, assign: JsonObject = {}): Catcher {
  const failure = {
    Step: step,
    Error: "{% $states.errorOutput.Error %}",
    Cause: "{% $states.errorOutput.Cause %}",
  };
  return { ErrorEquals: ["States.ALL"], Assign: { [variable]: failure, ...assign }, Next: next };
}

/** Ends a branch or an iteration with the failure that a variable holds, its step named in the cause. */
export function failWith(variable: string): FailState {
  return {
    Type: "Fail",
    Error: `{% $${variable}.Error %}`,
    Cause: `{% $${variable}.Step & ': ' & $${variable}.Cause %}`,
  };
}

/** A Lambda function, called with a payload; its answer is the state's output. */
export function lambdaTask(
  names: WorkflowNames,
  name: keyof WorkflowNames["functions"],
  payload: Json,
  { next, onFailure }: Continuation,
): TaskState {
  return {
    Type: "Task",
    Resource: `arn:${names.partition}:states:::lambda:invoke`,
    Arguments: { FunctionName: names.functions[name], Payload: payload },
    Output: "{% $states.result.Payload %}",
    TimeoutSeconds: 300,
    Retry: callRetry(lambdaErrors),
    Catch: [onFailure],
    Next: next,
  };
}

/** The longest timeout that a job may have of its own. */
export const longestJobMinutes = 120;

/**
 * A Glue job, run to its end on the plan of the execution.
 * @param timeoutMinutes in place of the job's own timeout. The state waits longer than the job may run, since a job that
 *   outlived its state would go on beside the next run.
 */
export function jobTask(
  names: WorkflowNames,
  name: keyof WorkflowNames["jobs"],
  { next, onFailure }: Continuation | { next: undefined; onFailure: Catcher },
  timeoutMinutes?: number,
): TaskState {
  return {
    Type: "Task",
    Resource: `arn:${names.partition}:states:::glue:startJobRun.sync`,
    Arguments: {
      JobName: names.jobs[name],
      ...(timeoutMinutes !== undefined && { Timeout: timeoutMinutes }),
      Arguments: {
        "--plan": `{% 's3://${names.landingBucket}/' & $plan.planKey %}`,
        "--batch-id": "{% $plan.batchId %}",
      },
    },
    Output: {},
    TimeoutSeconds: (timeoutMinutes ?? longestJobMinutes) * 60 + 300,
    Retry: jobRetry(glueErrors),
    Catch: [onFailure],
    ...(next === undefined ? { End: true } : { Next: next }),
  };
}

/** A DataBrew recipe job, run to its end. */
export function recipeTask(names: WorkflowNames, onFailure: Catcher): TaskState {
  return {
    Type: "Task",
    Resource: `arn:${names.partition}:states:::databrew:startJobRun.sync`,
    // JSON is JSONata too. A dataset without a recipe job gives nothing, which fails the state by name.
    Arguments: { Name: `{% $lookup(${JSON.stringify(names.recipeJobs)}, $states.input.dataset) %}` },
    Output: {},
    TimeoutSeconds: 3600,
    Retry: jobRetry(["DataBrew.ConflictException", "DataBrew.ServiceQuotaExceededException"]),
    Catch: [onFailure],
    End: true,
  };
}

/** A call of an AWS API by its SDK name, for example "redshiftdata:describeStatement". */
export function sdkTask(
  names: WorkflowNames,
  action: string,
  args: JsonObject,
  serviceErrors: string[],
  { next, onFailure }: Continuation,
): TaskState {
  return {
    Type: "Task",
    Resource: `arn:${names.partition}:states:::aws-sdk:${action}`,
    Arguments: args,
    TimeoutSeconds: 60,
    Retry: callRetry(serviceErrors),
    Catch: [onFailure],
    Next: next,
  };
}

/**
 * A client token: the same while an attempt is repeated by the service's client, another for every retry and
 * redrive (or they would be answered with the failed run), and no other state, item or execution has it.
 * @param item JSONata text that tells iterations of a Map apart
 */
export function clientToken(item: string): string {
  const parts = [
    "$states.context.Execution.Id",
    "$states.context.State.Name",
    item,
    "$states.context.State.RetryCount",
    "$states.context.Execution.RedriveCount",
  ];
  return `{% $hash(${parts.join(" & '/' & ")}, 'SHA-256') %}`;
}
