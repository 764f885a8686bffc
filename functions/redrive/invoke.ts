/** Calls the deployed redrive with the AWS CLI, whose credentials, region and profiles are the person's own. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import type { RedriveReport } from "./redrive.ts";

/** What a command printed, and whether it ended well. */
export interface Ended {
  /** Null when it could not be started, or was ended from outside. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the AWS CLI. */
export type AwsCli = (args: readonly string[]) => Ended;

const awsCli: AwsCli = (args) => {
  const { status, stdout, stderr, error } = spawnSync("aws", args, { encoding: "utf8" });
  return {
    status,
    stdout: stdout ?? "",
    stderr: error ? `the AWS CLI does not run: ${error.message}` : stderr,
  };
};

const answerSchema = z.object({ FunctionError: z.string().optional() });
const failureSchema = z.object({ errorMessage: z.string() });
const reportSchema = z.object({
  objects: z.array(
    z
      .object({
        object: z.string(),
        records: z.number(),
        succeeded: z.number(),
        error: z.string().optional(),
        already: z.boolean(),
      })
      .transform(({ error, ...rest }) => ({ ...rest, ...(error !== undefined && { error }) })),
  ),
  records: z.number(),
  succeeded: z.number(),
  failed: z.number(),
});

/**
 * @param functionName the deployed function, `<name>-redrive`
 * @throws Error with what the AWS CLI or the function says, when either fails
 */
export function invokeDeployed(
  functionName: string,
  event: { readonly prefix?: string },
  aws: AwsCli = awsCli,
): RedriveReport {
  const folder = mkdtempSync(path.join(tmpdir(), "redrive-"));
  const asked = path.join(folder, "event.json");
  const answer = path.join(folder, "answer.json");
  try {
    writeFileSync(asked, JSON.stringify(event));
    const { status, stdout, stderr } = aws([
      ...["lambda", "invoke", "--function-name", functionName, "--output", "json"],
      // From a file it is taken as it is, by both versions of the CLI.
      ...["--payload", `fileb://${asked}`],
      // The function may take a quarter of an hour, the CLI would give up after a minute and call it again.
      ...["--cli-read-timeout", "0", answer],
    ]);
    if (status !== 0)
      throw new Error(`aws lambda invoke of ${functionName}: ${stderr.trim() || `ended ${status}`}`);
    const payload: unknown = JSON.parse(readFileSync(answer, "utf8"));
    if (answerSchema.parse(JSON.parse(stdout)).FunctionError !== undefined) {
      throw new Error(
        `${functionName} failed: ${failureSchema.parse(payload).errorMessage}; its log says more`,
      );
    }
    return reportSchema.parse(payload);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
