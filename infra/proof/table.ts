/** The table role × action × exercised or justified. */
import { type Call, exercises, grantsOf, type Stack } from "./calls.ts";
import { handlerCalls } from "./handlers.ts";
import { jobCalls, readRecording } from "./jobs.ts";
import { type Reason, reasonFor } from "./justified.ts";
import { workflowCalls } from "./workflow.ts";

export interface Row {
  readonly role: string;
  readonly action: string;
  /** Recorded calls that make use of the grant. */
  readonly exercised: number;
  /** Why it is given all the same; undefined when nobody has said. */
  readonly reason: Reason | undefined;
}

/** Every call that was recorded, of handlers, workflow and jobs. */
export async function recordedCalls(stack: Stack): Promise<readonly Call[]> {
  return [
    ...(await handlerCalls(stack)),
    ...(await workflowCalls(stack)),
    ...jobCalls(stack, readRecording()),
  ];
}

/** One row for each action that a role was given. */
export function tableOf(stack: Stack, calls: readonly Call[]): readonly Row[] {
  return stack.roles.flatMap((role) =>
    grantsOf(stack, role).map((grant) => {
      const exercised = calls.filter((call) => exercises(call, grant)).length;
      return { role, action: grant.action, exercised, reason: exercised > 0 ? undefined : reasonFor(grant) };
    }),
  );
}

/** docs/least-privilege.md. */
export function documentOf(rows: readonly Row[]): string {
  const roles = [...new Set(rows.map(({ role }) => role))];
  const count = (given: readonly Row[]): string => {
    const exercised = given.filter((row) => row.exercised > 0).length;
    return `${exercised} exercised, ${given.length - exercised} justified`;
  };
  const lines = [
    "# Least privilege, role by role",
    "",
    "Written by `npm run least-privilege`; a test fails when it is stale. *Exercised*: a recorded call of a handler, of",
    "the workflow or of a job's file operations makes use of the grant. Where nothing does, the reason stands with the",
    "AWS documentation that it rests on. Calls are recorded on this machine, not on AWS.",
    "",
    `${rows.length} grants of ${roles.length} roles: ${count(rows)}.`,
  ];
  for (const role of roles) {
    const own = rows.filter((row) => row.role === role);
    lines.push("", `## ${role}`, "", `${count(own)}.`, "", "| action | |", "| --- | --- |");
    for (const { action, exercised, reason } of own) {
      const why =
        exercised > 0 ? "exercised" : reason ? `[${reason.why}](${reason.link})` : "**nobody has said why**";
      lines.push(`| ${action} | ${why} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
