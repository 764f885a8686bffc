/** Policy documents as AWS takes them, in one shape: whatever they were written like. */

/** Whom a statement of a resource or trust policy names, by kind: `{AWS: [...], Service: [...]}`; "*" is `{AWS: ["*"]}`. */
export type Principals = Readonly<Record<string, readonly string[]>>;

/** Operator → key (lower case, as IAM compares it) → values. */
export type ConditionBlock = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

export interface PolicyStatement {
  /** The statement's `Sid`, else `#` and its number from 1. */
  readonly id: string;
  readonly effect: "Allow" | "Deny";
  readonly actions: readonly string[];
  /** Everything but these is meant. Empty when the statement has `Action`. */
  readonly notActions: readonly string[];
  readonly resources: readonly string[];
  readonly notResources: readonly string[];
  readonly principals: Principals;
  readonly notPrincipals: Principals;
  readonly conditions: ConditionBlock;
}

/** A value is no policy document. The message says what is wrong and where. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function texts(value: unknown, where: string): string[] {
  if (value === undefined) return [];
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.map((each) => {
    if (typeof each === "string") return each;
    // Conditions may hold bare booleans and numbers.
    if (typeof each === "boolean" || typeof each === "number") return String(each);
    throw new DocumentError(`${where} must be a text or a list of texts, not ${JSON.stringify(each)}`);
  });
}

function principals(value: unknown, where: string): Principals {
  if (value === undefined) return {};
  if (value === "*") return { AWS: ["*"] };
  if (!isRecord(value)) throw new DocumentError(`${where} must be "*" or an object`);
  return Object.fromEntries(
    Object.entries(value).map(([kind, each]) => [kind, texts(each, `${where}.${kind}`)]),
  );
}

function conditions(value: unknown, where: string): ConditionBlock {
  if (value === undefined) return {};
  if (!isRecord(value)) throw new DocumentError(`${where} must be an object`);
  return Object.fromEntries(
    Object.entries(value).map(([operator, keys]) => {
      if (!isRecord(keys)) throw new DocumentError(`${where}.${operator} must be an object`);
      const lowered = Object.entries(keys).map(([key, each]) => [
        key.toLowerCase(),
        texts(each, `${where}.${operator}.${key}`),
      ]);
      return [operator, Object.fromEntries(lowered)];
    }),
  );
}

const elements = new Set([
  "Sid",
  "Effect",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Principal",
  "NotPrincipal",
  "Condition",
]);

function statement(value: unknown, number: number): PolicyStatement {
  const where = `statement ${number}`;
  if (!isRecord(value)) throw new DocumentError(`${where} must be an object`);
  const unknown = Object.keys(value).filter((key) => !elements.has(key));
  if (unknown.length > 0) {
    throw new DocumentError(
      `${where} has the element '${unknown[0]}'; IAM knows ${[...elements].join(", ")}, in this spelling`,
    );
  }
  const { Effect, Sid } = value;
  if (Effect !== "Allow" && Effect !== "Deny") {
    throw new DocumentError(`${where} must have the Effect "Allow" or "Deny", not ${JSON.stringify(Effect)}`);
  }
  if (Sid !== undefined && typeof Sid !== "string") throw new DocumentError(`${where}: Sid must be a text`);
  const read = (name: string): string[] => texts(value[name], `${where}: ${name}`);
  const parsed = {
    id: Sid ?? `#${number}`,
    effect: Effect,
    actions: read("Action"),
    notActions: read("NotAction"),
    resources: read("Resource"),
    notResources: read("NotResource"),
    principals: principals(value.Principal, `${where}: Principal`),
    notPrincipals: principals(value.NotPrincipal, `${where}: NotPrincipal`),
    conditions: conditions(value.Condition, `${where}: Condition`),
  } as const;
  if (parsed.actions.length + parsed.notActions.length === 0) {
    throw new DocumentError(`${where} names no action`);
  }
  return parsed;
}

/**
 * The statements of a policy document: JSON text, or the object it stands for; one statement or a list.
 * @throws DocumentError when it is neither
 */
export function parseDocument(document: unknown): PolicyStatement[] {
  let value = document;
  if (typeof document === "string") {
    try {
      value = JSON.parse(document);
    } catch (error) {
      throw new DocumentError(
        `the document is not JSON: ${error instanceof Error ? error.message : String(error)}`,
        {
          cause: error,
        },
      );
    }
  }
  if (!isRecord(value)) {
    throw new DocumentError(
      `the document must be an object with a Statement, not ${JSON.stringify(value) ?? "undefined"}`,
    );
  }
  const { Statement } = value;
  if (Statement === undefined) throw new DocumentError("the document has no Statement");
  const list: unknown[] = Array.isArray(Statement) ? Statement : [Statement];
  return list.map((each, index) => statement(each, index + 1));
}
