import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { z } from "zod";
import { Ledger } from "./ledger.ts";
import { jsonLogger, type Logger } from "./logger.ts";
import { type ObjectStore, S3ObjectStore } from "./objectStore.ts";

/** Buckets of the zones that the handlers touch. */
export interface Buckets {
  readonly landing: string;
  readonly staging: string;
  readonly artifacts: string;
}

/** What every handler needs; AWS and the laptop each compose their own. */
export interface Deps {
  readonly store: ObjectStore;
  readonly ledger: Ledger;
  readonly buckets: Buckets;
  readonly log: Logger;
  readonly now: () => Date;
  /** How long a run may hold the lease before another may take it over: longer than any run takes. */
  readonly leaseMinutes: number;
}

/** A required environment variable. @throws Error that names it. */
export function required(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`environment variable ${name} is not set; set it in the function's configuration`);
  }
  return value;
}

/** A numeric environment variable, at least `minimum`. @throws Error that names it and what is there. */
export function numberFrom(name: string, fallback: number, minimum: number): number {
  const text = process.env[name];
  const value = text === undefined || text === "" ? fallback : Number(text);
  if (!Number.isFinite(value) || value < minimum) {
    throw new Error(`environment variable ${name} is "${text}"; it must be a number of at least ${minimum}`);
  }
  return value;
}

/** Composes the dependencies on AWS from the function's environment. */
export function awsDeps(): Deps {
  const client = DynamoDBDocumentClient.from(new DynamoDBClient({}), {
    marshallOptions: { removeUndefinedValues: true },
  });
  return {
    store: new S3ObjectStore(new S3Client({})),
    ledger: new Ledger(client, required("LEDGER_TABLE"), required("PIPELINE")),
    buckets: {
      landing: required("LANDING_BUCKET"),
      staging: required("STAGING_BUCKET"),
      artifacts: required("ARTIFACTS_BUCKET"),
    },
    log: jsonLogger(),
    now: () => new Date(),
    leaseMinutes: numberFrom("LEASE_MINUTES", 360, 1),
  };
}

/** A Lambda handler that composes its dependencies at the first call, so that importing it needs no environment. */
export function lazily<Event, Answer>(
  create: () => (event: Event) => Promise<Answer>,
): (event: Event) => Promise<Answer> {
  let handle: ((event: Event) => Promise<Answer>) | undefined;
  return (event) => {
    handle ??= create();
    return handle(event);
  };
}

/** The event of a handler is not what the workflow passes. */
export class InvalidInputError extends Error {
  override readonly name = "InvalidInputError";
}

/** Reads a handler's event. @throws InvalidInputError that says which field is wrong and how. */
export function parseEvent<T>(schema: z.ZodType<T>, event: unknown, what: string): T {
  const result = schema.safeParse(event);
  if (result.success) return result.data;
  throw new InvalidInputError(`${what} is not valid:\n${z.prettifyError(result.error)}`, {
    cause: result.error,
  });
}
