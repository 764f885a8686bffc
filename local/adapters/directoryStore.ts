import { createHash, randomUUID } from "node:crypto";
import { constants, createReadStream, type Dirent, type Stats } from "node:fs";
import { access, copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { ByteStore, OpenObject } from "../../functions/shared/byteStore.ts";
import {
  type ObjectInfo,
  ObjectNotFoundError,
  type ObjectStore,
} from "../../functions/shared/objectStore.ts";

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");

function unreadable(bucket: string, key: string, error: unknown): Error {
  const why = error instanceof Error ? error.message : String(error);
  return new Error(`s3://${bucket}/${key} cannot be read: ${why}. Check the file and its permissions.`, {
    cause: error,
  });
}

/** An object store in a directory: each bucket is a folder under the root, each key a file's path in it. */
export class DirectoryStore implements ObjectStore, ByteStore {
  readonly root: string;

  constructor(root: string) {
    this.root = path.resolve(root);
  }

  /** The file that holds an object. @throws Error when bucket or key would lead out of the store. */
  pathOf(bucket: string, key: string): string {
    const outside = key.split("/").some((part) => part === "." || part === "..") || key.startsWith("/");
    if (!/^[a-z0-9][a-z0-9.-]*$/.test(bucket) || outside) {
      throw new Error(`s3://${bucket}/${key} is no usable object name: no "..", "." or leading "/" allowed`);
    }
    return path.join(this.root, bucket, ...key.split("/"));
  }

  async getText(bucket: string, key: string): Promise<string> {
    return (await this.getBytes(bucket, key)).toString("utf8");
  }

  /** The object's bytes. @throws ObjectNotFoundError when there is none. */
  async getBytes(bucket: string, key: string): Promise<Buffer> {
    try {
      return await readFile(this.pathOf(bucket, key));
    } catch (error) {
      if (isMissing(error)) throw new ObjectNotFoundError(bucket, key);
      throw error;
    }
  }

  async putText(bucket: string, key: string, text: string): Promise<void> {
    await this.putBytes(bucket, key, Buffer.from(text, "utf8"));
  }

  async open(bucket: string, key: string): Promise<OpenObject> {
    const file = this.pathOf(bucket, key);
    try {
      const { size, mtimeMs } = await stat(file);
      // A stream says that it cannot read only when it is read.
      await access(file, constants.R_OK);
      return { body: createReadStream(file), size, lastModified: Math.floor(mtimeMs) };
    } catch (error) {
      if (isMissing(error)) throw new ObjectNotFoundError(bucket, key);
      throw unreadable(bucket, key, error);
    }
  }

  putFile(bucket: string, key: string, file: string): Promise<void> {
    return this.#put(bucket, key, (temporary) => copyFile(file, temporary));
  }

  putBytes(bucket: string, key: string, bytes: Uint8Array): Promise<void> {
    return this.#put(bucket, key, (temporary) => writeFile(temporary, bytes));
  }

  /** Writes the whole object, atomically as S3 does: a file beside the buckets is moved into place. */
  async #put(bucket: string, key: string, write: (temporary: string) => Promise<void>): Promise<void> {
    const target = this.pathOf(bucket, key);
    const temporary = path.join(this.root, ".tmp", randomUUID());
    await mkdir(path.dirname(temporary), { recursive: true });
    await mkdir(path.dirname(target), { recursive: true });
    try {
      await write(temporary);
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async list(bucket: string, prefix: string): Promise<ObjectInfo[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    const found: ObjectInfo[] = [];
    for await (const key of this.#keys(bucket, folder)) {
      if (!key.startsWith(prefix)) continue;
      const info = await this.head(bucket, key);
      if (info) found.push(info);
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async head(bucket: string, key: string): Promise<ObjectInfo | undefined> {
    const file = this.pathOf(bucket, key);
    let stats: Stats;
    try {
      stats = await stat(file);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(bucket, key, error);
    }
    if (!stats.isFile()) return undefined;
    const etag = await md5Of(file).catch((error: unknown) => {
      throw unreadable(bucket, key, error);
    });
    return { bucket, key, size: stats.size, etag, version: etag, lastModified: stats.mtime.toISOString() };
  }

  async *#keys(bucket: string, folder: string): AsyncGenerator<string> {
    let entries: Dirent[];
    try {
      entries = await readdir(this.pathOf(bucket, folder), { withFileTypes: true });
    } catch (error) {
      if (isMissing(error)) return;
      throw unreadable(bucket, folder, error);
    }
    for (const entry of entries) {
      if (entry.isDirectory()) yield* this.#keys(bucket, `${folder}${entry.name}/`);
      else yield `${folder}${entry.name}`;
    }
  }
}

/** MD5 of a file's content in hexadecimal digits, read as a stream since drops may be large. */
async function md5Of(file: string): Promise<string> {
  const hash = createHash("md5");
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest("hex");
}
