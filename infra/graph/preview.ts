import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type * as grpcJs from "@grpc/grpc-js";
import type * as enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import type * as providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import type * as resourcePb from "@pulumi/pulumi/proto/resource_pb.js";
import { parse } from "yaml";
import type { Place } from "../lib/place.ts";
import { plain, urnOf } from "./offline.ts";
import { invokeResult } from "./values.ts";

/** A resource as the engine of a preview is asked to make it. */
export interface PreviewedResource {
  readonly urn: string;
  /** Arguments; one that only a deployment can know is `unknownValue`. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** What a program did under the CLI's own runner. */
export interface Preview {
  readonly exitCode: number;
  readonly resources: readonly PreviewedResource[];
  /** Errors that the program reported to the engine, as the CLI would print them. */
  readonly errors: readonly string[];
  /** Warnings, likewise. */
  readonly warnings: readonly string[];
  /** What the runner wrote to its error stream. */
  readonly stderr: string;
}

export interface PreviewOptions {
  /** Folder with the Pulumi.yaml. */
  readonly projectDir: string;
  readonly stack: string;
  readonly config: Readonly<Record<string, string>>;
  readonly place: Place;
  /** Runs the program as a deployment's second half does, whose resources are made. @default false */
  readonly deployment?: boolean;
  /** Added to the program's environment. @default {} */
  readonly environment?: Readonly<Record<string, string>>;
}

/** How the SDK writes a value that a preview cannot know. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

// The SDK's protocol is CommonJS and comes with the SDK, gRPC included: it is taken from where the SDK takes it.
const fromSdk = createRequire(createRequire(import.meta.url).resolve("@pulumi/pulumi"));
const grpc = fromSdk("@grpc/grpc-js") as typeof grpcJs;
const { ResourceMonitorService } = fromSdk("@pulumi/pulumi/proto/resource_grpc_pb.js") as {
  ResourceMonitorService: grpcJs.ServiceDefinition;
};
const { EngineService } = fromSdk("@pulumi/pulumi/proto/engine_grpc_pb.js") as {
  EngineService: grpcJs.ServiceDefinition;
};
const resourceMessages = fromSdk("@pulumi/pulumi/proto/resource_pb.js") as typeof resourcePb;
const providerMessages = fromSdk("@pulumi/pulumi/proto/provider_pb.js") as typeof providerPb;
const engineMessages = fromSdk("@pulumi/pulumi/proto/engine_pb.js") as typeof enginePb;
const { Struct } = fromSdk("google-protobuf/google/protobuf/struct_pb.js") as {
  Struct: { fromJavaScript(value: object): ReturnType<providerPb.InvokeResponse["getReturn"]> };
};
const { Empty } = fromSdk("google-protobuf/google/protobuf/empty_pb.js") as { Empty: new () => object };

type Handler<Request> = (
  call: { readonly request: Request },
  answer: (error: Error | null, response?: object) => void,
) => void;

/** How the project's Pulumi.yaml wants the program to be run. */
function runtimeOf(projectDir: string): { project: string; nodeArguments: string[]; programDir: string } {
  const { name, main, runtime } = parse(readFileSync(path.join(projectDir, "Pulumi.yaml"), "utf8")) as {
    name: string;
    main?: string;
    runtime: { name: string; options: { typescript: boolean; nodeargs: string } };
  };
  if (runtime.name !== "nodejs" || runtime.options.typescript) {
    throw new Error(`${projectDir}/Pulumi.yaml: only the Node.js runtime without ts-node is known here`);
  }
  return {
    project: name,
    nodeArguments: runtime.options.nodeargs.split(" "),
    programDir: path.join(projectDir, main ?? ""),
  };
}

/**
 * Previews a program as `pulumi preview` of a new stack does: the SDK's own runner (`@pulumi/pulumi/cmd/run`), started
 * with the options that the CLI's Node.js language host passes, talks to an engine. The engine is a stand-in: it knows
 * no providers, so a resource's state is its inputs, and whatever AWS would compute stays unknown.
 *
 * What this does not show: the CLI's own reading of Pulumi.yaml, plugins, and whether AWS accepts the inputs.
 */
export async function preview(options: PreviewOptions): Promise<Preview> {
  const { projectDir, stack, config, place } = options;
  const { project, nodeArguments, programDir } = runtimeOf(projectDir);
  const resources: PreviewedResource[] = [];
  const errors: string[] = [];
  const warnings: string[] = [];
  let rootUrn = "";

  const registerResource: Handler<resourcePb.RegisterResourceRequest> = ({ request }, answer) => {
    const urn = urnOf(project, stack, request.getParent(), request.getType(), request.getName());
    resources.push({
      urn,
      inputs: plain(request.getObject()?.toJavaScript() ?? {}) as Record<string, unknown>,
    });
    const response = new resourceMessages.RegisterResourceResponse();
    response.setUrn(urn);
    response.setObject(request.getObject());
    answer(null, response);
  };
  const invoke: Handler<resourcePb.ResourceInvokeRequest> = ({ request }, answer) => {
    try {
      const inputs = (request.getArgs()?.toJavaScript() ?? {}) as Record<string, unknown>;
      const response = new providerMessages.InvokeResponse();
      response.setReturn(Struct.fromJavaScript(invokeResult(request.getTok(), inputs, place)));
      answer(null, response);
    } catch (error) {
      answer(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const supportsFeature: Handler<resourcePb.SupportsFeatureRequest> = (_, answer) => {
    const response = new resourceMessages.SupportsFeatureResponse();
    response.setHassupport(true);
    answer(null, response);
  };
  const registerPackage: Handler<unknown> = (_, answer) => {
    const response = new resourceMessages.RegisterPackageResponse();
    response.setRef("package");
    answer(null, response);
  };
  const nothing: Handler<unknown> = (_, answer) => answer(null, new Empty());
  const log: Handler<enginePb.LogRequest> = ({ request }, answer) => {
    const severity = request.getSeverity();
    if (severity === engineMessages.LogSeverity.ERROR) errors.push(request.getMessage());
    if (severity === engineMessages.LogSeverity.WARNING) warnings.push(request.getMessage());
    answer(null, new Empty());
  };

  const server = new grpc.Server();
  server.addService(ResourceMonitorService, {
    registerResource,
    invoke,
    supportsFeature,
    registerPackage,
    registerResourceOutputs: nothing,
    signalAndWaitForShutdown: nothing,
  } as unknown as grpcJs.UntypedServiceImplementation);
  server.addService(EngineService, {
    log,
    getRootResource: (_: unknown, answer: Parameters<typeof log>[1]) => {
      const response = new engineMessages.GetRootResourceResponse();
      response.setUrn(rootUrn);
      answer(null, response);
    },
    setRootResource: (
      { request }: { request: enginePb.SetRootResourceRequest },
      answer: Parameters<typeof log>[1],
    ) => {
      rootUrn = request.getUrn();
      answer(null, new engineMessages.SetRootResourceResponse());
    },
  } as unknown as grpcJs.UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });

  try {
    const child = spawn(
      process.execPath,
      [
        ...nodeArguments,
        createRequire(path.join(programDir, "index.ts")).resolve("@pulumi/pulumi/cmd/run/index.js"),
        `--monitor=127.0.0.1:${port}`,
        `--engine=127.0.0.1:${port}`,
        `--project=${project}`,
        `--root-directory=${projectDir}`,
        `--stack=${stack}`,
        `--pwd=${programDir}`,
        ...(options.deployment ? [] : ["--dry-run"]),
        "--parallel=16",
        "--organization=organization",
        ".",
      ],
      {
        cwd: programDir,
        env: {
          PATH: process.env.PATH ?? "",
          HOME: process.env.HOME ?? "",
          PULUMI_CONFIG: JSON.stringify(config),
          PULUMI_CONFIG_SECRET_KEYS: "[]",
          PULUMI_NODEJS_TYPESCRIPT: "false",
          ...options.environment,
        },
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const [exitCode] = (await once(child, "close")) as [number | null];
    return { exitCode: exitCode ?? -1, resources, errors, warnings, stderr };
  } finally {
    server.forceShutdown();
  }
}
