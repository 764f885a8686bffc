/** The table of what each role was given, in its smallest parts: exercised, or made by a service and why. */

import { type Call, type Part, partsOf, requestOf, type Stack } from "./calls.ts";
import { applies } from "./evaluate.ts";
import { handlerCalls } from "./handlers.ts";
import { jobCalls, readRecording } from "./jobs.ts";
import { deployment, type Reason, serviceCalls } from "./services.ts";
import { workflowCalls } from "./workflow.ts";

export interface Row {
  readonly part: Part;
  /** Recorded calls that make use of it. */
  readonly exercised: number;
  /** Whose call it is all the same; undefined when nobody's. */
  readonly reason: Reason | undefined;
}

/** Every call that was recorded, of handlers, workflow and jobs. */
export async function recordedCalls(stack: Stack): Promise<readonly Call[]> {
  const all = [
    ...(await handlerCalls(stack)),
    ...(await workflowCalls(stack)),
    ...jobCalls(stack, readRecording()),
  ];
  return [...new Map(all.map((call) => [JSON.stringify(call), call])).values()];
}

/** One row for each part of what a role was given. */
export function tableOf(stack: Stack, calls: readonly Call[]): readonly Row[] {
  const asked = (made: readonly Call[], role: string) =>
    made.filter((call) => call.role === role).map((call) => ({ call, request: requestOf(stack, call) }));
  const expected = serviceCalls(stack, calls);
  return stack.roles.flatMap((role) => {
    const recorded = asked(calls, role);
    const byServices = asked(expected, role);
    return partsOf(stack, role).map((part): Row => {
      const exercised = recorded.filter(({ request }) => applies(part.statement, request)).length;
      const found = byServices.find(({ request }) => applies(part.statement, request))?.call;
      const reason = role === "deploy" ? deployment : (found as Reason | undefined);
      return { part, exercised, reason: exercised > 0 ? undefined : reason };
    });
  });
}

/** Rows of one statement with one outcome. */
interface Group {
  readonly sid: string;
  readonly outcome: string;
  readonly rows: Row[];
}

const outcomeOf = ({ exercised, reason }: Row): string =>
  exercised > 0 ? "exercised" : reason ? `[${reason.why}](${reason.link})` : "**nobody's**";

/** Actions of rows and, where a condition lists several values, for which of them. */
function actionsOf(rows: readonly Row[]): string {
  const actions = [...new Set(rows.map(({ part }) => part.action))].join(", ");
  const picked = [...new Set(rows.flatMap(({ part }) => part.picked ?? []))];
  // A key is used through a service, whose name the rest of the host adds nothing to.
  const short = picked.map((value) => value.replace(/^([a-z0-9-]+)\.[a-z0-9-]+\.amazonaws\.com$/, "$1"));
  return short.length === 0 ? actions : `${actions} (${short.join(", ")})`;
}

/** How many parts have which outcome. What is for deployment has no call of its own, neither recorded nor derived. */
export function counts(rows: readonly Row[]): {
  readonly parts: number;
  readonly exercised: number;
  readonly byServices: number;
  readonly byDeployment: number;
  readonly open: number;
} {
  const exercised = rows.filter((row) => row.exercised > 0).length;
  const byDeployment = rows.filter(({ reason }) => reason === deployment).length;
  const open = rows.filter((row) => row.exercised === 0 && !row.reason).length;
  const byServices = rows.length - exercised - byDeployment - open;
  return { parts: rows.length, exercised, byServices, byDeployment, open };
}

/** docs/least-privilege.md. */
export function documentOf(rows: readonly Row[]): string {
  const roles = [...new Set(rows.map(({ part }) => part.role))];
  const { parts, exercised, byServices, byDeployment } = counts(rows);
  const lines = [
    "# Least privilege, role by role",
    "",
    "Written by `npm run least-privilege`; a test fails when it is stale. What a role was given is counted in its smallest",
    "parts: one action on one resource of one statement, under one value of a condition that lists several. A part is",
    "*exercised* when a recorded call of a handler, of the workflow or of a job makes use of it, conditions included.",
    "Otherwise the call is one that AWS' service makes with the role, as the linked documentation says; it is derived from",
    "how the stack configures that service, and evaluated like a recorded one. Calls are recorded on this machine, not on AWS.",
    "The role that deploys is Pulumi's: that it needs each of its parts is not shown; what it must not do is tested.",
    "",
    `${parts} parts of ${roles.length} roles: ${exercised} exercised, ${byServices} by services, ${byDeployment} for deployment, which nothing here exercises.`,
  ];
  for (const role of roles) {
    const own = rows.filter(({ part }) => part.role === role);
    const of = counts(own);
    const summary =
      of.byDeployment > 0
        ? `${of.byDeployment} for deployment, which nothing here exercises.`
        : `${of.exercised} exercised, ${of.byServices} by services.`;
    lines.push("", `## ${role}`, "", summary, "");
    lines.push("| statement | actions | parts | |", "| --- | --- | --- | --- |");
    const groups = new Map<string, Group>();
    for (const row of own) {
      const outcome = outcomeOf(row);
      const key = `${row.part.sid} ${outcome}`;
      const group = groups.get(key) ?? { sid: row.part.sid, outcome, rows: [] };
      group.rows.push(row);
      groups.set(key, group);
    }
    for (const { sid, outcome, rows: members } of groups.values()) {
      lines.push(`| ${sid} | ${actionsOf(members)} | ${members.length} | ${outcome} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
