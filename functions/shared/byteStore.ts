import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { GetObjectCommand, NoSuchKey, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { ObjectNotFoundError } from "./objectStore.ts";

/** An object that is being read. */
export interface OpenObject {
  readonly body: Readable;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly lastModified: number;
}

/** Objects as bytes, for what does not fit into memory or is no text. */
export interface ByteStore {
  /** @param version one version of the object; the newest when absent. @throws ObjectNotFoundError when there is none */
  open(bucket: string, key: string, version?: string): Promise<OpenObject>;
  /** Writes an object from a file; a reader sees all of it or what was there before. */
  putFile(bucket: string, key: string, file: string): Promise<void>;
}

/** The adapter for Amazon S3. Needs s3:GetObject, s3:GetObjectVersion and s3:PutObject. */
export class S3ByteStore implements ByteStore {
  readonly #client: S3Client;

  constructor(client: S3Client) {
    this.#client = client;
  }

  async open(bucket: string, key: string, version?: string): Promise<OpenObject> {
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(version !== undefined && { VersionId: version }),
        }),
      );
      if (!(answer.Body instanceof Readable)) {
        throw new Error(`s3://${bucket}/${key}: S3 answered without a body`);
      }
      return {
        body: answer.Body,
        size: answer.ContentLength ?? 0,
        lastModified: (answer.LastModified ?? new Date(0)).getTime(),
      };
    } catch (error) {
      if (error instanceof NoSuchKey) throw new ObjectNotFoundError(bucket, key);
      const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      throw new Error(
        `s3://${bucket}/${key} cannot be read (${why}); check that it is there and may be read`,
        {
          cause: error,
        },
      );
    }
  }

  async putFile(bucket: string, key: string, file: string): Promise<void> {
    const { size } = await stat(file);
    const Body = createReadStream(file);
    await this.#client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentLength: size }));
  }
}
