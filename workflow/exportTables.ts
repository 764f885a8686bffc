import type { MapState } from "./asl.ts";
import type { WorkflowNames } from "./names.ts";
import { clientToken, failTo, failWith, sdkTask } from "./tasks.ts";

const serviceErrors = [
  "DynamoDb.InternalServerErrorException",
  "DynamoDb.LimitExceededException",
  "DynamoDb.ThrottlingException",
];

/** Exports take minutes; one that is not done after two hours is given up. */
const longestMillis = 2 * 3600 * 1000;

/** Exports every table window that the plan names to the landing bucket and waits until all are there. */
export function exportTables(names: WorkflowNames, transition: Pick<MapState, "Next" | "Catch">): MapState {
  const onFailure = failTo("ExportFailed", "exportFailure", "export of a DynamoDB table");
  const start = (type: string, period: Record<string, string | Record<string, string>>) => ({
    ...sdkTask(
      names,
      "dynamodb:exportTableToPointInTime",
      {
        TableArn: "{% $states.input.table_arn %}",
        ExportType: type,
        ExportFormat: "DYNAMODB_JSON",
        S3Bucket: names.landingBucket,
        S3Prefix: "{% $states.input.prefix %}",
        ...(names.exportKeyArn && { S3SseAlgorithm: "KMS", S3SseKmsKeyId: names.exportKeyArn }),
        ...period,
        ClientToken: clientToken("$states.input.id"),
      },
      serviceErrors,
      { next: "DescribeExport", onFailure },
    ),
    Assign: {
      exportArn: "{% $states.result.ExportDescription.ExportArn %}",
      exportDeadline: `{% $millis() + ${longestMillis} %}`,
    },
  });
  return {
    Type: "Map",
    Items: "{% $plan.exports %}",
    MaxConcurrency: 5,
    ItemProcessor: {
      ProcessorConfig: { Mode: "INLINE" },
      StartAt: "IsFullExport",
      States: {
        IsFullExport: {
          Type: "Choice",
          Choices: [
            { Condition: "{% $states.input.type = 'FULL_EXPORT' %}", Next: "StartFullExport" },
            { Condition: "{% $states.input.type = 'INCREMENTAL_EXPORT' %}", Next: "StartIncrementalExport" },
          ],
        },
        StartFullExport: start("FULL_EXPORT", { ExportTime: "{% $states.input.to %}" }),
        StartIncrementalExport: start("INCREMENTAL_EXPORT", {
          IncrementalExportSpecification: {
            ExportFromTime: "{% $states.input.from %}",
            ExportToTime: "{% $states.input.to %}",
            ExportViewType: "NEW_IMAGE",
          },
        }),
        DescribeExport: {
          ...sdkTask(names, "dynamodb:describeExport", { ExportArn: "{% $exportArn %}" }, serviceErrors, {
            next: "IsExported",
            onFailure,
          }),
          Output: "{% $states.result.ExportDescription %}",
        },
        IsExported: {
          Type: "Choice",
          Choices: [
            { Condition: "{% $states.input.ExportStatus = 'COMPLETED' %}", Output: {}, Next: "Exported" },
            {
              Condition: "{% $states.input.ExportStatus = 'FAILED' %}",
              Assign: {
                exportFailure: {
                  Step: "{% 'export ' & $exportArn %}",
                  Error: "DynamoDb.ExportFailed",
                  Cause: "{% $states.input.FailureCode & ': ' & $states.input.FailureMessage %}",
                },
              },
              Next: "ExportFailed",
            },
            {
              Condition: "{% $millis() > $exportDeadline %}",
              Assign: {
                exportFailure: {
                  Step: "{% 'export ' & $exportArn %}",
                  Error: "DynamoDb.ExportTooSlow",
                  Cause: `not complete after ${longestMillis / 60_000} minutes`,
                },
              },
              Next: "ExportFailed",
            },
          ],
          Default: "WaitForExport",
        },
        WaitForExport: { Type: "Wait", Seconds: 30, Next: "DescribeExport" },
        Exported: { Type: "Succeed" },
        ExportFailed: failWith("exportFailure"),
      },
    },
    Output: {},
    ...transition,
  };
}
