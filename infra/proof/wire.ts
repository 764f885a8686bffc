/**
 * Reads AWS calls off the wire: a server that clients of AWS are pointed at (`AWS_ENDPOINT_URL`), which notes every call
 * as IAM would be asked for it and passes it on to an emulator, so that whatever SDK is used, and however, is seen.
 */

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

/** A call as IAM names it, before it is known whose it is. */
export interface Seen {
  readonly action: string;
  /** An ARN, or what stands in its place for the emulator. */
  readonly resource: string;
  readonly context: Readonly<Record<string, string | string[]>>;
}

/** A call over the wire. */
export interface WireRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly body?: string;
}

export interface WireOptions {
  /** The emulator. */
  readonly upstream: string;
  /** Region and account of the ARNs that are noted. */
  readonly place: { readonly partition: string; readonly region: string; readonly accountId: string };
  readonly seen: (call: Seen) => void;
  /** Answers what the emulator does not know; undefined passes the call on. */
  readonly answer?: (action: string, request: WireRequest) => Answer | Promise<Answer> | undefined;
}

/** What an operation of S3 asks IAM for. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html */
function s3Operation({ method, url }: WireRequest): string {
  const object = url.pathname.split("/").length > 2 && !url.pathname.endsWith("/");
  if (method === "GET" && url.searchParams.has("versions")) return "s3:ListBucketVersions";
  if (method === "GET" && !object) return "s3:ListBucket";
  // HeadObject has no right of its own. Reading a version takes another right, and not this one beside it.
  if (method === "GET" || method === "HEAD")
    return url.searchParams.has("versionId") ? "s3:GetObjectVersion" : "s3:GetObject";
  if (method === "PUT" && object && url.search.replace(/[?&]x-id=PutObject/, "") === "")
    return "s3:PutObject";
  throw new Error(`no right is known for ${method} ${url.pathname}${url.search} of S3`);
}

const glueInput = z.looseObject({
  DatabaseName: z.string().optional(),
  TableName: z.string().optional(),
  Name: z.string().optional(),
  JobName: z.string().optional(),
});
const keyedInput = z.looseObject({ TableName: z.string().optional(), TopicArn: z.string().optional() });
const batchInput = z.looseObject({ RequestItems: z.record(z.string(), z.unknown()) });
const dataInput = z.looseObject({ WorkgroupName: z.string().optional(), SecretArn: z.string().optional() });

class Wire {
  readonly #options: WireOptions;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  #arn(service: string, resource: string): string {
    const { partition, region, accountId } = this.#options.place;
    return resource.startsWith("arn:")
      ? resource
      : `arn:${partition}:${service}:${region}:${accountId}:${resource}`;
  }

  /** Calls that one request stands for: the catalog, for example, looks at three resources. */
  calls(request: WireRequest): readonly Seen[] {
    const { headers, url } = request;
    const scope = String(headers.authorization ?? "").match(/Credential=[^/]+\/\d+\/[^/]+\/([^/]+)\//)?.[1];
    if (scope === undefined) throw new Error(`${request.method} ${url.pathname} is not signed`);
    const target = String(headers["x-amz-target"] ?? "");
    const operation = target.split(".").at(-1) ?? "";
    const one = (action: string, resource: string): Seen => ({ action, resource, context: {} });
    const text = request.body.toString("utf8");
    const json = (): unknown => JSON.parse(text);
    switch (scope) {
      case "s3":
        return [this.#s3(request)];
      case "dynamodb": {
        const tables =
          operation === "BatchGetItem"
            ? Object.keys(batchInput.parse(json()).RequestItems)
            : [keyedInput.parse(json()).TableName ?? ""];
        return tables.map((table) =>
          one(
            `dynamodb:${operation}`,
            this.#arn("dynamodb", table.startsWith("arn:") ? table : `table/${table}`),
          ),
        );
      }
      case "glue": {
        const { DatabaseName, TableName, Name, JobName } = glueInput.parse(json());
        const parts =
          JobName === undefined
            ? ["catalog", `database/${DatabaseName}`, `table/${DatabaseName}/${TableName ?? Name}`]
            : [`job/${JobName}`];
        return parts.map((part) => one(`glue:${operation}`, this.#arn("glue", part)));
      }
      case "databrew": {
        const recipe = decodeURIComponent(url.pathname.split("/")[2] ?? "");
        const action = request.method === "GET" ? "DescribeRecipe" : "PublishRecipe";
        return [one(`databrew:${action}`, this.#arn("databrew", `recipe/${recipe}`))];
      }
      case "redshift-data": {
        const { WorkgroupName, SecretArn } = dataInput.parse(json());
        if (WorkgroupName === undefined) {
          // A statement has no ARN: whose it is decides.
          return [one(`redshift-data:${operation}`, "*")];
        }
        return [
          one(`redshift-data:${operation}`, `workgroup:${WorkgroupName}`),
          // With a secret the Data API signs in with it, which it reads with the caller's rights.
          ...(SecretArn === undefined ? [] : [one("secretsmanager:GetSecretValue", SecretArn)]),
        ];
      }
      case "sns":
        return [one("sns:Publish", new URLSearchParams(text).get("TopicArn") ?? "")];
      case "xray":
        return [one("xray:PutTraceSegments", "*")];
      case "secretsmanager":
        return [
          one(`secretsmanager:${operation}`, z.object({ SecretId: z.string() }).parse(json()).SecretId),
        ];
      default:
        throw new Error(`no right is known for ${request.method} ${url.pathname} of ${scope}`);
    }
  }

  #s3(request: WireRequest): Seen {
    const { url } = request;
    const action = s3Operation(request);
    const [bucket = "", ...key] = decodeURIComponent(url.pathname).slice(1).split("/");
    const list = action.startsWith("s3:List");
    return {
      action,
      resource: `arn:${this.#options.place.partition}:s3:::${bucket}${list ? "" : `/${key.join("/")}`}`,
      context: list ? { "s3:prefix": url.searchParams.get("prefix") ?? "" } : {},
    };
  }

  async pass(
    request: WireRequest,
  ): Promise<Answer & { readonly bytes: Buffer; readonly type: string | null; readonly headers?: Headers }> {
    const calls = this.calls(request);
    for (const call of calls) this.#options.seen(call);
    const own = await this.#options.answer?.(calls[0]?.action ?? "", request);
    if (own) return { ...own, bytes: Buffer.from(own.body ?? ""), type: "application/json" };
    const hopByHop = new Set(["connection", "content-length", "expect", "host", "transfer-encoding"]);
    const headers = Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
      hopByHop.has(name) || value === undefined ? [] : [[name, [value].flat().join(", ")]],
    );
    const answer = await fetch(
      new URL(`${request.url.pathname}${request.url.search}`, this.#options.upstream),
      {
        method: request.method,
        headers,
        ...(request.body.length > 0 && { body: new Uint8Array(request.body) }),
      },
    );
    const [first] = calls;
    if (answer.status === 404 && first?.action === "s3:GetObject") {
      // S3 says "not found" only to those who may list; others are told that it is forbidden.
      const [bucket = "", ...key] = first.resource.split("/");
      this.#options.seen({
        action: "s3:ListBucket",
        resource: bucket,
        context: { "s3:prefix": key.join("/") },
      });
    }
    return {
      status: answer.status,
      bytes: Buffer.from(await answer.arrayBuffer()),
      type: answer.headers.get("content-type"),
      headers: answer.headers,
    };
  }
}

/** Starts the server on a free port. Whatever it cannot read as a call is an error to the client, and thrown by `close`. */
export async function startWire(
  options: WireOptions,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const wire = new Wire(options);
  const errors: Error[] = [];
  const server: Server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const request = {
        method: incoming.method ?? "GET",
        url: new URL(incoming.url ?? "/", "http://localhost"),
        headers: incoming.headers,
        body: Buffer.concat(chunks),
      };
      wire.pass(request).then(
        ({ status, bytes, type, headers }) => {
          for (const name of [
            "etag",
            "last-modified",
            "x-amz-version-id",
            "x-amzn-requestid",
            "x-amz-crc32",
          ]) {
            const value = headers?.get(name);
            if (value) outgoing.setHeader(name, value);
          }
          if (type !== null) outgoing.setHeader("content-type", type);
          outgoing.writeHead(status);
          outgoing.end(request.method === "HEAD" ? undefined : bytes);
        },
        (error: Error) => {
          errors.push(error);
          outgoing.writeHead(400);
          outgoing.end(error.message);
        },
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      if (errors.length > 0)
        throw new AggregateError(
          errors,
          `calls that could not be noted: ${errors.map(({ message }) => message).join("; ")}`,
        );
    },
  };
}
