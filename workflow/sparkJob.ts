/** A job on EMR Serverless: its state in the workflow, and how Spark is told where its code is. */
import type { TaskState } from "./asl.ts";
import type { SparkJobNames, WorkflowNames } from "./names.ts";
import { type Continuation, clientToken, jobRetry } from "./tasks.ts";

/** Where a job's code lies, and what Spark is to be set to besides. */
export interface SparkCode {
  /** `s3://` address of the jobs' package (a zip of sources). */
  readonly pyFiles: string;
  /** `s3://` address of the Python environment that `npm run package` builds. */
  readonly archive: string;
  readonly conf: Readonly<Record<string, string>>;
}

/** The name under which Spark unpacks the archive in every working directory. */
const environment = "environment";
/** The archive is a virtual environment: this leads to the release's own Python 3.11, whose default is older. */
const python = `./${environment}/bin/python`;

/**
 * The Spark settings of a run as the one string that EMR Serverless takes.
 *
 * @throws Error when a value holds a space, which would begin another argument
 * @example sparkSubmitParameters({ pyFiles: "s3://b/securecart.zip", archive: "s3://b/env.tar.gz", conf: {} })
 */
export function sparkSubmitParameters({ pyFiles, archive, conf }: SparkCode): string {
  const settings = {
    "spark.submit.pyFiles": pyFiles,
    "spark.archives": `${archive}#${environment}`,
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": python,
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": python,
    "spark.executorEnv.PYSPARK_PYTHON": python,
    ...conf,
  };
  return Object.entries(settings)
    .map(([key, value]) => {
      if (/\s/.test(value)) throw new Error(`the Spark setting ${key} holds a space: '${value}'`);
      return `--conf ${key}=${value}`;
    })
    .join(" ");
}

/**
 * Runs a Spark job to its end on the plan of the execution. The job is told the trace of the planning function,
 * under which its own segments hang, and when it was asked for.
 */
export function sparkTask(
  names: WorkflowNames,
  job: SparkJobNames,
  { next, onFailure }: Continuation,
): TaskState {
  return {
    Type: "Task",
    Resource: `arn:${names.partition}:states:::emr-serverless:startJobRun.sync`,
    Arguments: {
      ApplicationId: job.applicationId,
      ExecutionRoleArn: job.executionRoleArn,
      ClientToken: clientToken("'job'"),
      Name: "{% $states.context.State.Name & '-' & $plan.batchId %}",
      ExecutionTimeoutMinutes: 60,
      JobDriver: {
        SparkSubmit: {
          EntryPoint: job.entryPoint,
          EntryPointArguments: [
            ...Object.entries(job.arguments).flat(),
            "--plan",
            `{% 's3://${names.landingBucket}/' & $plan.planKey %}`,
            "--batch-id",
            "{% $plan.batchId %}",
            // A header is not empty where tracing is on; an argument has to be a string where it is off.
            "--trace-header",
            "{% $plan.traceHeader ? $plan.traceHeader : '' %}",
            "--submitted-at",
            "{% $states.context.State.EnteredTime %}",
          ],
          SparkSubmitParameters: job.sparkSubmitParameters,
        },
      },
      ...(job.configurationOverrides && { ConfigurationOverrides: job.configurationOverrides }),
    },
    Output: {},
    TimeoutSeconds: 4500,
    Retry: jobRetry([
      "EMRServerless.ConflictException",
      "EMRServerless.InternalServerException",
      "EMRServerless.ServiceQuotaExceededException",
    ]),
    Catch: [onFailure],
    Next: next,
  };
}
