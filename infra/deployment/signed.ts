import { createHash, createHmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";

/** A request to an AWS API in JSON. */
export interface ApiRequest {
  /** Name of the service as its endpoint has it, for example `redshift-data`. */
  readonly service: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** `X-Amz-Target` of the JSON protocol: `<service>.<operation>`. */
  readonly target?: string;
  readonly body?: object;
}

/** An AWS API answered with an error. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  constructor(request: ApiRequest, status: number, answer: string) {
    super(
      `${request.service} ${request.target ?? `${request.method} ${request.path}`} answered ${status}: ${answer}`,
    );
    this.status = status;
  }
}

/** Sends a request and returns the parsed answer. @throws ApiError when the service refuses it */
export type ApiCall = (request: ApiRequest) => Promise<unknown>;

/** SHA-256 and its HMAC in the form that the signer asks for. */
class Sha256 {
  readonly #hash;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    const key = typeof secret === "string" || secret === undefined ? secret : bytes(secret);
    this.#hash = key === undefined ? createHash("sha256") : createHmac("sha256", key);
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === "string" ? data : bytes(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    throw new Error("a digest is made once");
  }
}

const bytes = (data: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);

function environment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`environment variable ${name} is not set; this runs in a Lambda function`);
  return value;
}

/** Calls AWS APIs with the credentials of the function that this runs in. */
export function lambdaApi(send: typeof fetch = fetch): ApiCall {
  return async (request) => {
    const region = environment("AWS_REGION");
    const hostname = `${request.service}.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const signer = new SignatureV4({
      service: request.service,
      region,
      sha256: Sha256,
      credentials: {
        accessKeyId: environment("AWS_ACCESS_KEY_ID"),
        secretAccessKey: environment("AWS_SECRET_ACCESS_KEY"),
        sessionToken: environment("AWS_SESSION_TOKEN"),
      },
    });
    const signed = await signer.sign({
      method: request.method,
      protocol: "https:",
      hostname,
      path: request.path,
      query: { ...request.query },
      headers: {
        host: hostname,
        ...(body !== undefined && {
          "content-type": request.target === undefined ? "application/json" : "application/x-amz-json-1.1",
        }),
        ...(request.target !== undefined && { "x-amz-target": request.target }),
      },
      ...(body !== undefined && { body }),
    });
    const search = new URLSearchParams(request.query).toString();
    const answer = await send(`https://${hostname}${request.path}${search && `?${search}`}`, {
      method: request.method,
      headers: signed.headers,
      ...(body !== undefined && { body }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new ApiError(request, answer.status, text);
    return text === "" ? {} : JSON.parse(text);
  };
}
