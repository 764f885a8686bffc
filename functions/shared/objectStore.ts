import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  NoSuchKey,
  NotFound,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";

/** One object in its newest version. */
export interface ObjectInfo {
  readonly bucket: string;
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Entity tag without quotes. */
  readonly etag: string;
  /** Changes whenever the content is written anew: S3's version id, or the etag where there are no versions. */
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly lastModified: string;
}

/** What the handlers need of an object store; S3 in the cloud, a directory on a laptop. */
export interface ObjectStore {
  /** The object's text (UTF-8). @throws ObjectNotFoundError when there is none. */
  getText(bucket: string, key: string): Promise<string>;
  /** Writes the whole object; a reader sees the old text or the new one, never a part. */
  putText(bucket: string, key: string, text: string): Promise<void>;
  /** Every object whose key starts with the prefix, newest version only, ordered by key. */
  list(bucket: string, prefix: string): Promise<ObjectInfo[]>;
  /** The object's newest version, or undefined when there is none. */
  head(bucket: string, key: string): Promise<ObjectInfo | undefined>;
}

/** There is no such object. */
export class ObjectNotFoundError extends Error {
  override readonly name = "ObjectNotFoundError";

  constructor(bucket: string, key: string) {
    super(`s3://${bucket}/${key} does not exist`);
  }
}

const unquoted = (etag: string | undefined): string => (etag ?? "").replaceAll('"', "");

/** S3 answers the version id "null" for objects written while the bucket kept no versions. */
function versionOf(versionId: string | undefined, etag: string): string {
  return versionId && versionId !== "null" ? versionId : etag;
}

/** The adapter for Amazon S3. Needs s3:GetObject, s3:PutObject and, for `list`, s3:ListBucketVersions. */
export class S3ObjectStore implements ObjectStore {
  readonly #client: S3Client;

  constructor(client: S3Client) {
    this.#client = client;
  }

  async getText(bucket: string, key: string): Promise<string> {
    try {
      const answer = await this.#client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      if (!answer.Body) throw new Error(`s3://${bucket}/${key}: S3 answered without a body`);
      return await answer.Body.transformToString("utf-8");
    } catch (error) {
      if (error instanceof NoSuchKey) throw new ObjectNotFoundError(bucket, key);
      throw error;
    }
  }

  async putText(bucket: string, key: string, text: string): Promise<void> {
    const ContentType = key.endsWith(".json") ? "application/json" : "text/plain; charset=utf-8";
    await this.#client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: text, ContentType }));
  }

  async list(bucket: string, prefix: string): Promise<ObjectInfo[]> {
    const found: ObjectInfo[] = [];
    let marker: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
    while (marker) {
      const page: ListObjectVersionsCommandOutput = await this.#client.send(
        new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix, ...marker }),
      );
      for (const item of page.Versions ?? []) {
        if (!item.IsLatest || item.Key === undefined) continue;
        const etag = unquoted(item.ETag);
        found.push({
          bucket,
          key: item.Key,
          size: item.Size ?? 0,
          etag,
          version: versionOf(item.VersionId, etag),
          lastModified: (item.LastModified ?? new Date(0)).toISOString(),
        });
      }
      marker = page.IsTruncated
        ? {
            ...(page.NextKeyMarker !== undefined && { KeyMarker: page.NextKeyMarker }),
            ...(page.NextVersionIdMarker !== undefined && { VersionIdMarker: page.NextVersionIdMarker }),
          }
        : undefined;
    }
    return found;
  }

  async head(bucket: string, key: string): Promise<ObjectInfo | undefined> {
    try {
      const answer = await this.#client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      const etag = unquoted(answer.ETag);
      return {
        bucket,
        key,
        size: answer.ContentLength ?? 0,
        etag,
        version: versionOf(answer.VersionId, etag),
        lastModified: (answer.LastModified ?? new Date(0)).toISOString(),
      };
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  }
}
