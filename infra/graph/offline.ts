import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Place } from "../lib/place.ts";
import { computedState, invokeResult } from "./values.ts";

/** One resource as the program registered it. */
export interface GraphResource {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  /** URN of the parent; absent on the stack itself. */
  readonly parent?: string;
  /** False for components. */
  readonly custom: boolean;
  /** True where a plugin makes the children, which this graph therefore cannot show. */
  readonly opaque?: true;
  /** URN of the explicit provider. */
  readonly provider?: string;
  /** URNs of the providers that a component passes on to its children, by package. */
  readonly providers?: Readonly<Record<string, string>>;
  /** Arguments as the provider would get them after its check: default tags merged in. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Names of the inputs that Pulumi keeps as secrets; their values are in `inputs` like any other. */
  readonly secretInputs?: readonly string[];
  /** URNs of the resources that this one waits for. */
  readonly dependencies: readonly string[];
  /** Dependencies by input property. */
  readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace?: boolean;
  readonly ignoreChanges?: readonly string[];
}

/** Everything a program registers, with every value known. */
export interface Graph {
  readonly project: string;
  readonly stack: string;
  readonly place: Place;
  readonly resources: readonly GraphResource[];
  /** Values that AWS would compute, by URN: ids, ARNs, endpoints. */
  readonly computed: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly outputs: Readonly<Record<string, unknown>>;
}

export interface RecordOptions {
  readonly project?: string;
  readonly stack?: string;
  readonly place: Place;
  /** Configuration by full key (`project:key`), values as Pulumi stores them: text, or JSON for structured ones. */
  readonly config?: Readonly<Record<string, string>>;
  /** Told of each resource as it is registered, also when the program fails later. */
  readonly onRegister?: (urn: string) => void;
}

/** The part of the SDK's register request that is read here; its generated class has no types of its own. */
interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getCustom(): boolean;
  getRemote(): boolean;
  getProvider(): string;
  getProvidersMap(): { forEach(visit: (reference: string, name: string) => void): void };
  getObject(): { toJavaScript(): Record<string, unknown> } | undefined;
  getDependenciesList(): string[];
  getPropertydependenciesMap(): {
    forEach(visit: (value: { getUrnsList(): string[] }, key: string) => void): void;
  };
  getProtect(): boolean;
  getRetainondelete(): boolean;
  getDeletebeforereplace(): boolean;
  getDeletebeforereplacedefined(): boolean;
  getIgnorechangesList(): string[];
}

interface MockMonitor {
  newUrn(parent: string, type: string, name: string): string;
  registerResource(request: RegisterRequest, callback: unknown): Promise<void>;
}

const { specialSigKey, specialAssetSig, specialArchiveSig, specialSecretSig } = pulumi.runtime;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

/** An asset or archive by the hashes of its content: the path it was read from differs between machines. */
function plainAsset(kind: "asset" | "archive", value: Record<string, unknown>): Record<string, unknown> {
  if (isRecord(value.assets)) return { [kind]: { files: plain(value.assets) } };
  if (typeof value.text === "string") return { [kind]: { sha256: sha256(value.text) } };
  if (typeof value.path === "string") return { [kind]: { sha256: sha256(readFileSync(value.path)) } };
  throw new Error(`an ${kind} with neither text, path nor files cannot be recorded`);
}

/** Inputs without the wire format's markers. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!isRecord(value)) return value;
  const mark = value[specialSigKey];
  if (mark === specialSecretSig) return plain(value.value);
  if (mark === specialAssetSig) return plainAsset("asset", value);
  if (mark === specialArchiveSig) return plainAsset("archive", value);
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((key) => [key, plain(value[key])]),
  );
}

/** The name that the engine gives a resource, from that of its parent (empty for the stack) and its own. */
export function urnOf(project: string, stack: string, parent: string, type: string, name: string): string {
  const chain = parent.split("::")[2] ?? "";
  const qualified = parent === "" || chain === "pulumi:pulumi:Stack" ? type : `${chain}$${type}`;
  return `urn:pulumi:${stack}::${project}::${qualified}::${name}`;
}

/** A provider reference is `<urn>::<id>`. */
const urnIn = (reference: string): string => reference.split("::").slice(0, -1).join("::");

const byUrn = (a: { urn: string }, b: { urn: string }): number =>
  a.urn < b.urn ? -1 : a.urn > b.urn ? 1 : 0;

/** Copies `value` with the keys of every object in order, so that equal graphs are equal text. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((key) => [key, sorted(value[key])]),
  );
}

/**
 * Runs a Pulumi program without an engine, a provider or an account, and returns what it registered.
 * One run at a time: the SDK keeps its state per process.
 *
 * @param program what a program's default export does; what it returns are the stack's outputs
 * @throws what the program throws
 */
export async function recordGraph(
  program: () => unknown,
  { project = "securecart-etl", stack = "test", place, config = {}, onRegister }: RecordOptions,
): Promise<Graph> {
  const resources = new Map<string, GraphResource>();
  const computed: Record<string, Record<string, unknown>> = {};
  const providers = new Map<string, GraphResource>();
  const repeated: string[] = [];
  let current: string | undefined;

  await pulumi.runtime.setMocks(
    {
      // Called by registerResource below before it awaits anything, so `current` is this resource.
      newResource: ({ type, name, inputs, id }) => {
        const urn = current;
        if (urn === undefined)
          throw new Error(`${type} '${name}' was read, not registered; reads have no value offline`);
        const state = computedState(type, name, inputs, place, urn);
        computed[urn] = { id: id || state.id, ...state.outputs };
        return { id: state.id, state: { ...inputs, ...state.outputs } };
      },
      call: ({ token, inputs }) => invokeResult(token, inputs, place),
    },
    project,
    stack,
  );
  pulumi.runtime.setAllConfig({ ...config });

  const monitor = pulumi.runtime.getMonitor() as unknown as MockMonitor;
  monitor.newUrn = urnOf.bind(undefined, project, stack);
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = async (request, callback) => {
    const type = request.getType();
    const urn = monitor.newUrn(request.getParent(), type, request.getName());
    if (resources.has(urn)) repeated.push(urn);
    const reference = urnIn(request.getProvider());
    const passedOn: Record<string, string> = {};
    request.getProvidersMap().forEach((given, name) => {
      passedOn[name] = urnIn(given);
    });
    const propertyDependencies: Record<string, string[]> = {};
    request.getPropertydependenciesMap().forEach((value, key) => {
      const urns = value.getUrnsList().toSorted();
      if (urns.length > 0) propertyDependencies[key] = urns;
    });
    const given = request.getObject()?.toJavaScript() ?? {};
    const inputs = plain(given) as Record<string, unknown>;
    const secretInputs = Object.keys(given).filter((key) => {
      const value = given[key];
      return isRecord(value) && value[specialSigKey] === specialSecretSig;
    });
    const resource: GraphResource = {
      urn,
      type,
      name: request.getName(),
      ...(request.getParent() !== "" && { parent: request.getParent() }),
      custom: request.getCustom(),
      ...(request.getRemote() && { opaque: true as const }),
      ...(reference !== "" && { provider: reference }),
      ...(Object.keys(passedOn).length > 0 && { providers: passedOn }),
      inputs: withDefaultTags(type, inputs, providers.get(reference)),
      ...(secretInputs.length > 0 && { secretInputs: secretInputs.toSorted() }),
      dependencies: [...new Set(request.getDependenciesList())].toSorted(),
      propertyDependencies,
      protect: request.getProtect(),
      retainOnDelete: request.getRetainondelete(),
      ...(request.getDeletebeforereplacedefined() && {
        deleteBeforeReplace: request.getDeletebeforereplace(),
      }),
      ...(request.getIgnorechangesList().length > 0 && { ignoreChanges: request.getIgnorechangesList() }),
    };
    resources.set(urn, resource);
    onRegister?.(urn);
    if (type === "pulumi:providers:aws") providers.set(urn, resource);
    current = urn;
    const registered = register(request, callback);
    current = undefined;
    await registered;
  };

  // The SDK takes a stack trace of every promise it makes, which is half of the time of a run.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 1;
  let outputs: unknown;
  try {
    outputs = await pulumi.runtime.runInPulumiStack(async () => program());
    await pulumi.runtime.disconnect();
    // An Output whose apply failed rejects by itself: told before the graph is handed on.
    await new Promise(setImmediate);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  if (repeated.length > 0) {
    throw new Error(`resources registered twice under one URN:\n  ${repeated.toSorted().join("\n  ")}`);
  }
  return {
    project,
    stack,
    place,
    resources: [...resources.values()].toSorted(byUrn),
    computed: sorted(computed) as Graph["computed"],
    outputs: isRecord(outputs) ? outputs : {},
  };
}

/** Does what the AWS provider does on its check: default tags go into `tags` of every type that has them. */
function withDefaultTags(
  type: string,
  inputs: Record<string, unknown>,
  provider: GraphResource | undefined,
): Record<string, unknown> {
  const defaultTags = provider?.inputs.defaultTags;
  if (typeof defaultTags !== "string" || !isTaggable(type)) return inputs;
  const { tags } = JSON.parse(defaultTags) as { tags?: Record<string, string> };
  const own = isRecord(inputs.tags) ? inputs.tags : {};
  return { ...inputs, tags: sorted({ ...tags, ...own }) };
}

/** Whether the SDK's class of this type, `aws:module/resource:Class`, takes tags. */
function isTaggable(type: string): boolean {
  const [provider, path = "", className = ""] = type.split(":");
  if (provider !== "aws") return false;
  const module: unknown = Reflect.get(aws, path.split("/")[0] ?? "");
  const resource: unknown = isRecord(module) ? module[className] : undefined;
  if (typeof resource !== "function") throw new Error(`@pulumi/aws has no resource ${type}`);
  return resource.toString().includes('resourceInputs["tags"]');
}
