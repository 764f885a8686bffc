import type { JsonObject } from "./asl.ts";

/** A Spark job on EMR Serverless. What Glue keeps with a job is here given with every run. */
export interface SparkJobNames {
  applicationId: string;
  executionRoleArn: string;
  /** `s3://` address of the script, whose name is the job's module. */
  entryPoint: string;
  /** Arguments that are the same in every run. */
  arguments: Record<string, string>;
  /** See `sparkSubmitParameters` (workflow/sparkJob.ts). */
  sparkSubmitParameters: string;
  /** Monitoring and disk encryption of the run. */
  configurationOverrides?: JsonObject;
}

/** What differs from one deployment of the workflow to the next: names and ARNs, nothing else. */
export interface WorkflowNames {
  /** "aws", "aws-cn" or "aws-us-gov". */
  partition: string;
  /** ARNs of the Lambda functions. */
  functions: { plan: string; verdict: string; renderLoad: string; commit: string; abort: string };
  /** Names of the Glue jobs. */
  jobs: {
    extractMysql: string;
    extractDynamodb: string;
    csvToParquet: string;
    stageRecipes: string;
    clean: string;
    quality: string;
    publish: string;
    curate: string;
    export: string;
    maintain: string;
    rollback: string;
  };
  /** The job that scores transactions on EMR Serverless; without it the workflow does not score. */
  fraud?: SparkJobNames;
  /** Name of the DataBrew recipe job of each dataset that has a recipe. */
  recipeJobs: Record<string, string>;
  /** Bucket of the landing zone: plans, and the exports of DynamoDB tables. */
  landingBucket: string;
  /** Key that encrypts the exports; without it S3's own is used. */
  exportKeyArn?: string;
  /** Redshift Serverless workgroup and database; without a secret the caller's IAM identity signs in. */
  warehouse: { workgroup: string; database: string; secretArn?: string };
}
