import type { MapState } from "./asl.ts";
import type { WorkflowNames } from "./names.ts";
import { clientToken, failTo, failWith, sdkTask } from "./tasks.ts";

const serviceErrors = [
  "RedshiftData.ActiveSessionsExceededException",
  "RedshiftData.ActiveStatementsExceededException",
  "RedshiftData.InternalServerException",
  "RedshiftData.ThrottlingException",
];

/** A load takes seconds to minutes; one that has not ended after an hour is given up. */
const longestMillis = 3600 * 1000;

/**
 * Runs the statements of every load of the state's input `{loads: [{table, rows, statements}]}`, each load in one
 * transaction of its own, and waits for their ends. Loads without rows are left out.
 */
export function loadTables(names: WorkflowNames, transition: Pick<MapState, "Next" | "Catch">): MapState {
  const onFailure = failTo("LoadFailed", "loadFailure", "load of a table");
  const { workgroup, database, secretArn } = names.warehouse;
  const failed = (error: string, cause: string) => ({
    Assign: { loadFailure: { Step: "{% 'load of ' & $table %}", Error: error, Cause: cause } },
    Next: "LoadFailed",
  });
  return {
    Type: "Map",
    Items: "{% [$states.input.loads[rows > 0]] %}",
    MaxConcurrency: 2,
    ItemProcessor: {
      ProcessorConfig: { Mode: "INLINE" },
      StartAt: "SubmitLoad",
      States: {
        SubmitLoad: {
          ...sdkTask(
            names,
            "redshiftdata:batchExecuteStatement",
            {
              WorkgroupName: workgroup,
              Database: database,
              ...(secretArn && { SecretArn: secretArn }),
              Sqls: "{% $states.input.statements %}",
              StatementName: "{% 'load-' & $states.input.table & '-' & $plan.batchId %}",
              WithEvent: true,
              ClientToken: clientToken("$states.input.table"),
            },
            serviceErrors,
            { next: "DescribeLoad", onFailure },
          ),
          Assign: {
            table: "{% $states.input.table %}",
            statementId: "{% $states.result.Id %}",
            loadDeadline: `{% $millis() + ${longestMillis} %}`,
          },
        },
        DescribeLoad: sdkTask(
          names,
          "redshiftdata:describeStatement",
          { Id: "{% $statementId %}" },
          serviceErrors,
          { next: "IsLoaded", onFailure },
        ),
        IsLoaded: {
          Type: "Choice",
          Choices: [
            { Condition: "{% $states.input.Status = 'FINISHED' %}", Output: {}, Next: "TableLoaded" },
            {
              Condition: "{% $states.input.Status in ['FAILED', 'ABORTED'] %}",
              ...failed(
                "{% 'RedshiftData.Statement' & $states.input.Status %}",
                "{% $exists($states.input.Error) ? $states.input.Error : $states.input.Status & ' without a reason' %}",
              ),
            },
            {
              Condition: "{% $millis() > $loadDeadline %}",
              ...failed(
                "RedshiftData.StatementTooSlow",
                `not finished after ${longestMillis / 60_000} minutes`,
              ),
            },
          ],
          Default: "WaitForLoad",
        },
        WaitForLoad: { Type: "Wait", Seconds: 5, Next: "DescribeLoad" },
        TableLoaded: { Type: "Succeed" },
        LoadFailed: failWith("loadFailure"),
      },
    },
    Output: {},
    ...transition,
  };
}
