/**
 * API Gateway's POST /events on this machine: the same model, mapping template and answers, in front of a local stream.
 * One answer says more: a 400 has what is wrong with the body, which API Gateway writes to its access log alone.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Ajv } from "ajv";
import { z } from "zod";
import type { RequestModel } from "../../functions/api-ingestion/model.ts";
import { refusals } from "../../functions/api-ingestion/refusals.ts";
import { renderTemplate } from "./mappingTemplate.ts";

/** Kinesis PutRecord, as the template gives it. */
const putRecord = z.strictObject({
  StreamName: z.string().min(1),
  Data: z.base64(),
  PartitionKey: z.string().min(1),
});
export type PutRecord = z.infer<typeof putRecord>;

export interface IngestionOptions {
  readonly model: RequestModel;
  /** The mapping template's text. */
  readonly template: string;
  readonly stream: string;
  /** Takes the record. @returns its sequence number. @throws Error named as Kinesis names its own, or of this machine */
  readonly put: (record: PutRecord) => Promise<string>;
  /** Is told what the caller is not: why the stream did not take an event. */
  readonly onFault: (error: unknown) => void;
  /** Stands for the authorisation by IAM: the keys that may post. */
  readonly keys: ReadonlySet<string>;
  /** Port of the loopback interface. @default any that is free */
  readonly port?: number;
  /** Requests a second, and how many may come at once. @default no limit */
  readonly throttle?: { readonly rate: number; readonly burst: number };
}

/** What API Gateway allows for a body. */
const mostBytes = 10 << 20;
/** What Kinesis allows for a record's data, before it is base64. */
const mostDataBytes = 1 << 20;

export interface Answer {
  readonly status: number;
  readonly body: object;
}

const refusal = ({ status, message }: (typeof refusals)[keyof typeof refusals]): Answer => ({
  status,
  body: { message },
});

/** Kinesis' errors of status 5xx, for which a disk of this machine stands too. Whatever else it refuses, it refuses with 400. */
function isUnavailable(error: unknown): boolean {
  return (
    error instanceof Error && (/^(InternalFailure|ServiceUnavailable)/.test(error.name) || "code" in error)
  );
}

function refusalFor(error: unknown): Answer {
  if (isUnavailable(error)) return refusal(refusals.unavailable);
  const throttled = error instanceof Error && error.name.includes("ProvisionedThroughputExceeded");
  return refusal(throttled ? refusals.throttled : refusals.fault);
}

/** The method without its transport: authorised, throttled, validated, mapped. */
export function ingestion({ model, template, stream, put, onFault, keys, throttle }: IngestionOptions) {
  const { $schema: _, ...schema } = model; // draft 4 and what Ajv knows agree in every keyword that is used
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);
  let tokens = throttle?.burst ?? 0;
  let filled = Date.now();
  const mayPass = (): boolean => {
    if (!throttle) return true;
    const now = Date.now();
    tokens = Math.min(throttle.burst, tokens + ((now - filled) / 1000) * throttle.rate);
    filled = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
  return async (body: string, key: string | undefined): Promise<Answer> => {
    if (key === undefined || !keys.has(key)) return { status: 403, body: { message: "Forbidden" } };
    if (!mayPass()) return { status: 429, body: { message: "Too Many Requests" } };
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      return { status: 400, body: { message: "Invalid request body", error: "the body is no JSON" } };
    }
    if (!validate(value)) {
      const error = (validate.errors ?? [])
        .map((one) => `${one.instancePath || "/"} ${one.message}`)
        .join("; ");
      return { status: 400, body: { message: "Invalid request body", error } };
    }
    const mapped = renderTemplate(template, {
      body,
      context: { requestId: randomUUID() },
      stageVariables: { stream },
    });
    try {
      const record = putRecord.parse(JSON.parse(mapped));
      if (Buffer.byteLength(record.Data, "base64") > mostDataBytes) return refusal(refusals.tooLarge);
      return { status: 200, body: { sequenceNumber: await put(record) } };
    } catch (error) {
      onFault(error);
      return refusalFor(error);
    }
  };
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= mostBytes) chunks.push(chunk);
  }
  return size > mostBytes ? undefined : Buffer.concat(chunks).toString("utf8");
}

/** Serves POST /events on the loopback interface; the key comes in the header x-api-key. @throws Error when the port is taken */
export async function startIngestionApi(
  options: IngestionOptions,
): Promise<{ url: string; close(): Promise<void> }> {
  const post = ingestion(options);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(request);
    const key = request.headers["x-api-key"];
    const { status, body: said } =
      request.method !== "POST" || request.url !== "/events"
        ? { status: 403, body: { message: "Missing Authentication Token" } }
        : body === undefined
          ? { status: 413, body: { message: "Request Too Long" } }
          : await post(body, typeof key === "string" ? key : undefined);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(said));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : undefined),
    );
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/events`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
