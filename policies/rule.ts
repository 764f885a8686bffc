import type { Reader } from "./reader.ts";
import type { StackView } from "./stack.ts";

/** Stands for a value that is not known before the deployment. */
export const unknown: unique symbol = Symbol("unknown");

/** One resource as a rule sees it: of the offline graph, or of the engine. */
export interface Resource {
  readonly urn: string;
  /** For example `aws:s3/bucket:Bucket`. */
  readonly type: string;
  readonly name: string;
  readonly parent?: string | undefined;
  /** Plain values; `unknown` in place of what is not known yet. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** URNs of the resources that this one waits for. */
  readonly dependencies: readonly string[];
  /** The same by input property. */
  readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
  readonly protect: boolean;
}

export const categories = [
  "encryption at rest",
  "encryption in transit",
  "least privilege",
  "private network",
  "logging and tracing",
  "durability",
  "failure handling",
  "cost",
  "tagging",
] as const;
export type Category = (typeof categories)[number];

export const severities = ["critical", "high", "medium", "low"] as const;
export type Severity = (typeof severities)[number];

export const levels = ["mandatory", "advisory", "disabled"] as const;
export type Level = (typeof levels)[number];

/** A framework's control that a rule covers. Framework "none" marks what no other pack checks. */
export interface Control {
  readonly framework: "FSBP" | "checkov" | "cdk-nag" | "Prowler" | "none";
  readonly id: string;
}

/** What is wrong with a resource, as a rule says it. */
export interface Defect {
  /** What makes the finding's id granular, for example `Action::s3:*`; none where a rule has one finding a resource. */
  readonly detail?: string;
  readonly message: string;
  /** Resource at fault when it is another than the one judged. */
  readonly urn?: string;
}

/** A rule's own answer that it has nothing to say about this resource. */
export const notApplicable: unique symbol = Symbol("not applicable");

/**
 * One question to one resource. Pure. What it reads through `Reader` and is unknown or of a wrong type ends this
 * check alone, with the property's name: so that an unknown value hides no other defect, a rule with several questions
 * has several checks, and `each` goes on with a list's other elements.
 */
export type Check = (
  resource: Reader,
  stack: StackView,
) => Defect | readonly Defect[] | string | undefined | typeof notApplicable;

/** A control with its metadata. */
export interface Rule {
  /** Lower-case words with hyphens, the service first: `s3-tls-only`. */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  readonly category: Category;
  readonly severity: Severity;
  /** `prod`: mandatory in production, advisory elsewhere (which the environment's configuration says). */
  readonly level: "mandatory" | "prod" | "advisory";
  readonly controls: readonly Control[];
  /** What to change. */
  readonly remedy: string;
  /** AWS documentation of the setting. */
  readonly link: string;
  /** Types it judges; `stackType` for a question to the stack as a whole. */
  readonly types: readonly string[];
  /**
   * `resource`: needs nothing but literal inputs of one resource, so that the engine can ask before it creates.
   * `stack`: joins resources, or follows a reference whose value may be unknown.
   */
  readonly scope: "resource" | "stack";
  readonly checks: readonly Check[];
  /** Values that a configuration may set, with their defaults; checks read them from `StackView.parameter`. */
  readonly parameters?: Readonly<Record<string, readonly string[] | number>>;
}

/** Type of the resource that stands for the stack. */
export const stackType = "pulumi:pulumi:Stack";

/** A defect with where it was found. */
export interface Finding {
  readonly rule: string;
  /** Rule and detail: `iam-wildcard-action[Action::s3:*]`. A waiver names this and the resource. */
  readonly id: string;
  readonly urn: string;
  readonly type: string;
  readonly resource: string;
  readonly message: string;
}

/** A rule's answer about one resource. */
export type Judgement =
  | {
      readonly state: "judged";
      readonly rule: string;
      readonly urn: string;
      readonly findings: readonly Finding[];
    }
  | { readonly state: "not applicable"; readonly rule: string; readonly urn: string }
  | {
      readonly state: "could not judge";
      readonly rule: string;
      readonly urn: string;
      /** The property whose value is unknown. */
      readonly property: string;
      /** What was found all the same. */
      readonly findings: readonly Finding[];
    };
