import { createHash } from "node:crypto";
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  DeleteCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";
import { z } from "zod";
import type { LandingFolder, ObjectClaim, Plan, Watermark } from "./plan.ts";

/** Another run holds the lease, because this one held it longer than it was granted. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
}

export interface Lease {
  /** Id of the execution that holds it. */
  readonly owner: string;
  readonly batchId: string;
  readonly expiresAt: Date;
}

export type LeaseAnswer =
  /** `expired` is the lease of a run that never gave it back. */
  | { readonly acquired: true; readonly expired?: Lease }
  | { readonly acquired: false; readonly holder: Lease };

const batchSchema = z.object({
  batch_id: z.string(),
  state: z.enum(["RUNNING", "SUCCEEDED", "FAILED"]),
  mode: z.enum(["incremental", "backfill", "replay"]),
  /** Execution of the latest run of this batch: a replay runs a batch again. */
  run: z.string(),
  plan_key: z.string(),
  started_at: z.string(),
  ended_at: z.string().optional(),
  /** Landing folders that the batch wrote. */
  landing: z.array(z.object({ dataset: z.string(), path: z.string() })),
  /** When its data was first committed; a later replay that fails does not take that back. */
  committed_at: z.string().optional(),
  summary_key: z.string().optional(),
  error: z.string().optional(),
  cause: z.string().optional(),
  /** True when its latest run failed with tables published, or loading: the warehouse may hold some of it. */
  unsettled: z.boolean().optional(),
});
/** One batch and how its latest run ended. */
export type Batch = z.infer<typeof batchSchema>;

const leaseSchema = z.object({ lease_owner: z.string(), batch_id: z.string(), expires_at: z.number() });
const watermarkSchema = z.object({ watermark: z.string(), reconciled_at: z.string().optional() });
const loadedSchema = z.object({ batch_id: z.string() });
const rollbackSchema = z.object({ batch_id: z.string(), plan_key: z.string() });
/** A run that may have left tables half published: nothing may be planned before they are back. */
export type PendingRollback = z.infer<typeof rollbackSchema>;
const claimSchema = z.object({
  sk: z.string(),
  bucket: z.string(),
  object_key: z.string(),
  batch_id: z.string(),
  superseded: z.boolean(),
});

/** S3 keys have up to 1024 bytes, as many as a whole sort key, which also holds bucket and version. */
const longestKeyBytes = 700;

function objectPrefix({ bucket, key }: ObjectClaim): string {
  const name =
    Buffer.byteLength(key) <= longestKeyBytes ? key : createHash("sha256").update(key).digest("hex");
  return `object#${bucket}/${name}#`;
}

const objectSk = (claim: ObjectClaim): string => `${objectPrefix(claim)}${claim.version}`;
const watermarkSk = (dataset: string): string => `watermark#${dataset}`;
const batchSk = (batchId: string): string => `batch#${batchId}`;

/** DynamoDB's limits: keys of one BatchGetItem, characters kept of an error's cause (items hold 400 KB). */
const batchGetKeys = 100;
const causeCharacters = 4000;

/**
 * What has been processed and who may process now. One DynamoDB table (string keys pk, sk), one partition a
 * pipeline. Every write is one item and conditional where order matters, so that a repeated write is harmless.
 */
export class Ledger {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #pk: string;

  constructor(client: DynamoDBDocumentClient, table: string, pipeline: string) {
    this.#client = client;
    this.#table = table;
    this.#pk = `pipeline#${pipeline}`;
  }

  /** Takes the lease when nobody holds it, its holder's time is over, or the owner asks again. */
  async acquireLease(lease: Lease, now: Date): Promise<LeaseAnswer> {
    const answer = await this.#unlessRefused(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk: this.#pk,
          sk: "lease",
          lease_owner: lease.owner,
          batch_id: lease.batchId,
          expires_at: lease.expiresAt.getTime(),
        },
        ConditionExpression: "attribute_not_exists(pk) OR expires_at <= :now OR lease_owner = :owner",
        ExpressionAttributeValues: { ":now": now.getTime(), ":owner": lease.owner },
        ReturnValues: "ALL_OLD",
      }),
    );
    if (answer) {
      const old = answer.Attributes && asLease(answer.Attributes);
      return old && old.owner !== lease.owner ? { acquired: true, expired: old } : { acquired: true };
    }
    const holder = await this.lease();
    // Given back between the refusal and the reading: then it is free to be asked for again.
    return holder ? { acquired: false, holder } : this.acquireLease(lease, now);
  }

  /** The lease as it stands, expired or not. */
  async lease(): Promise<Lease | undefined> {
    const item = await this.#get("lease");
    return item && asLease(item);
  }

  /** Grants the owner more time. @throws LeaseLostError when the owner does not hold the lease any more. */
  async renewLease(owner: string, expiresAt: Date): Promise<void> {
    const answer = await this.#unlessRefused(
      new UpdateCommand({
        TableName: this.#table,
        Key: { pk: this.#pk, sk: "lease" },
        UpdateExpression: "SET expires_at = :until",
        ConditionExpression: "lease_owner = :owner",
        ExpressionAttributeValues: { ":until": expiresAt.getTime(), ":owner": owner },
      }),
    );
    if (answer) return;
    const holder = await this.lease();
    const now = holder ? `${holder.owner} (batch ${holder.batchId}) holds it` : "nobody holds it";
    throw new LeaseLostError(
      `${owner} lost the pipeline's lease: ${now}. Nothing was written; start the run again, and raise ` +
        "LEASE_MINUTES when runs take longer than that.",
    );
  }

  /** Gives the lease back; false when the owner did not hold it. */
  async releaseLease(owner: string): Promise<boolean> {
    const answer = await this.#unlessRefused(
      new DeleteCommand({
        TableName: this.#table,
        Key: { pk: this.#pk, sk: "lease" },
        ConditionExpression: "lease_owner = :owner",
        ExpressionAttributeValues: { ":owner": owner },
      }),
    );
    return answer !== undefined;
  }

  /** Notes that there may be work. Done before asking for the lease, so that a run just ending sees it. */
  async markPending(now: Date): Promise<void> {
    const Item = { pk: this.#pk, sk: "pending", marked_at: now.toISOString() };
    await this.#client.send(new PutCommand({ TableName: this.#table, Item }));
  }

  /** Done under the lease and before looking for work: what was marked until now is then seen. */
  async clearPending(): Promise<void> {
    await this.#client.send(
      new DeleteCommand({ TableName: this.#table, Key: { pk: this.#pk, sk: "pending" } }),
    );
  }

  async isPending(): Promise<boolean> {
    return (await this.#get("pending")) !== undefined;
  }

  /** How far the datasets have been read; a dataset never read has no entry. */
  async watermarks(datasets: readonly string[]): Promise<Map<string, Watermark>> {
    const items = await this.#getAll(datasets.map(watermarkSk));
    return new Map(
      datasets.flatMap((dataset): [string, Watermark][] => {
        const item = items.get(watermarkSk(dataset));
        if (!item) return [];
        const { watermark, reconciled_at } = watermarkSchema.parse(item);
        return [[dataset, { watermark, ...(reconciled_at !== undefined && { reconciled_at }) }]];
      }),
    );
  }

  /** Moves a watermark forward; false when it stands further already, as after the replay of an older batch. */
  async advanceWatermark(dataset: string, to: Watermark, batchId: string): Promise<boolean> {
    const answer = await this.#unlessRefused(
      new PutCommand({
        TableName: this.#table,
        Item: { pk: this.#pk, sk: watermarkSk(dataset), ...to, batch_id: batchId },
        ConditionExpression: "attribute_not_exists(pk) OR watermark <= :watermark",
        ExpressionAttributeValues: { ":watermark": to.watermark },
      }),
    );
    return answer !== undefined;
  }

  /** The objects whose current version has not been processed. */
  async unclaimed<T extends ObjectClaim>(objects: readonly T[]): Promise<T[]> {
    const items = await this.#getAll(objects.map(objectSk));
    return objects.filter((object) => {
      const item = items.get(objectSk(object));
      // A version that comes back after another one took its place (A, B, A again) is new work.
      return !item || claimSchema.parse(item).superseded;
    });
  }

  /**
   * Marks an object version as processed by a batch, and its older versions as superseded. Repeating is harmless.
   * @returns false when another batch has processed this version already
   */
  async claim(object: ObjectClaim, batchId: string): Promise<boolean> {
    const siblings = (await this.#query(objectPrefix(object)))
      .map((item) => claimSchema.parse(item))
      // The prefix also matches a key that goes on after "#".
      .filter((item) => item.object_key === object.key && item.sk !== objectSk(object));
    const answer = await this.#unlessRefused(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk: this.#pk,
          sk: objectSk(object),
          bucket: object.bucket,
          object_key: object.key,
          batch_id: batchId,
          // A replay of an older batch comes after the batch that processed a newer version.
          superseded: siblings.some((item) => item.batch_id > batchId),
        },
        ConditionExpression: "attribute_not_exists(pk) OR (superseded = :yes AND batch_id < :batch)",
        ExpressionAttributeValues: { ":yes": true, ":batch": batchId },
      }),
    );
    if (!answer) {
      const item = await this.#get(objectSk(object));
      if (item && claimSchema.parse(item).batch_id !== batchId) return false;
    }
    for (const older of siblings.filter((item) => item.batch_id < batchId && !item.superseded)) {
      await this.#set(older.sk, { superseded: true });
    }
    return true;
  }

  /** Notes that a batch runs, for the first time or again. */
  async startBatch(
    plan: Plan,
    planKey: string,
    run: string,
    landing: readonly LandingFolder[],
  ): Promise<void> {
    await this.#set(
      batchSk(plan.batch_id),
      {
        batch_id: plan.batch_id,
        state: "RUNNING",
        run,
        plan_key: planKey,
        started_at: plan.created_at,
        // A replay reads what the batch's first run landed.
        ...(plan.mode !== "replay" && { mode: plan.mode, landing }),
      },
      ["ended_at", "error", "cause"],
    );
  }

  /** Notes that a batch's data is committed. */
  async succeedBatch(batch: Batch, summaryKey: string, now: Date): Promise<void> {
    const at = now.toISOString();
    await this.#set(batchSk(batch.batch_id), {
      state: "SUCCEEDED",
      ended_at: at,
      committed_at: batch.committed_at ?? at,
      summary_key: summaryKey,
    });
    const Item = { pk: this.#pk, sk: "loaded", batch_id: batch.batch_id };
    await this.#client.send(new PutCommand({ TableName: this.#table, Item }));
  }

  /** The batch that was committed last, a replayed one included. */
  async loadedBatch(): Promise<string | undefined> {
    const item = await this.#get("loaded");
    return item && loadedSchema.parse(item).batch_id;
  }

  /** Notes that a run's tables have to go back to what they were before it, since it could not see to that itself. */
  async requireRollback({ batch_id, plan_key }: PendingRollback): Promise<void> {
    const Item = { pk: this.#pk, sk: "rollback", batch_id, plan_key };
    await this.#client.send(new PutCommand({ TableName: this.#table, Item }));
  }

  /** The run whose tables have to go back. There is at most one: no other starts before they have. */
  async pendingRollback(): Promise<PendingRollback | undefined> {
    const item = await this.#get("rollback");
    return item && rollbackSchema.parse(item);
  }

  /** Notes that the tables are back. */
  async clearRollback(): Promise<void> {
    await this.#client.send(
      new DeleteCommand({ TableName: this.#table, Key: { pk: this.#pk, sk: "rollback" } }),
    );
  }

  /** Notes that a batch's run failed and why. */
  async failBatch(
    batchId: string,
    { error, cause, unsettled }: { error: string; cause: string; unsettled: boolean },
    now: Date,
  ): Promise<void> {
    await this.#set(batchSk(batchId), {
      state: "FAILED",
      ended_at: now.toISOString(),
      error,
      cause: cause.slice(0, causeCharacters),
      unsettled,
    });
  }

  async batch(batchId: string): Promise<Batch | undefined> {
    const item = await this.#get(batchSk(batchId));
    return item && batchSchema.parse(item);
  }

  /** Every batch, oldest first. */
  async batches(): Promise<Batch[]> {
    return (await this.#query("batch#")).map((item) => batchSchema.parse(item));
  }

  async #get(sk: string): Promise<Record<string, unknown> | undefined> {
    const answer = await this.#client.send(
      new GetCommand({ TableName: this.#table, Key: { pk: this.#pk, sk }, ConsistentRead: true }),
    );
    return answer.Item;
  }

  async #getAll(sks: readonly string[]): Promise<Map<string, Record<string, unknown>>> {
    const found = new Map<string, Record<string, unknown>>();
    const wanted = [...new Set(sks)];
    for (let start = 0; start < wanted.length; start += batchGetKeys) {
      let keys: Record<string, unknown>[] = wanted
        .slice(start, start + batchGetKeys)
        .map((sk) => ({ pk: this.#pk, sk }));
      while (keys.length > 0) {
        const answer = await this.#client.send(
          new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: keys, ConsistentRead: true } } }),
        );
        for (const item of answer.Responses?.[this.#table] ?? []) found.set(String(item.sk), item);
        keys = answer.UnprocessedKeys?.[this.#table]?.Keys ?? [];
      }
    }
    return found;
  }

  async #query(prefix: string): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const page: {
        Items?: Record<string, unknown>[] | undefined;
        LastEvaluatedKey?: Record<string, unknown> | undefined;
      } = await this.#client.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: "pk = :pk AND begins_with(sk, :prefix)",
          ExpressionAttributeValues: { ":pk": this.#pk, ":prefix": prefix },
          ConsistentRead: true,
          ...(start && { ExclusiveStartKey: start }),
        }),
      );
      items.push(...(page.Items ?? []));
      start = page.LastEvaluatedKey;
    } while (start);
    return items;
  }

  async #set(sk: string, values: Record<string, unknown>, remove: readonly string[] = []): Promise<void> {
    const names = Object.keys(values);
    const sets = names.map((_, index) => `#s${index} = :s${index}`);
    const removes = remove.map((_, index) => `#r${index}`);
    await this.#client.send(
      new UpdateCommand({
        TableName: this.#table,
        Key: { pk: this.#pk, sk },
        UpdateExpression: `SET ${sets.join(", ")}${removes.length > 0 ? ` REMOVE ${removes.join(", ")}` : ""}`,
        ExpressionAttributeNames: Object.fromEntries([
          ...names.map((name, index) => [`#s${index}`, name]),
          ...remove.map((name, index) => [`#r${index}`, name]),
        ]),
        ExpressionAttributeValues: Object.fromEntries(
          names.map((name, index) => [`:s${index}`, values[name]]),
        ),
      }),
    );
  }

  /** The answer, or undefined when the command's condition did not hold. */
  async #unlessRefused(
    command: PutCommand | UpdateCommand | DeleteCommand,
  ): Promise<{ Attributes?: Record<string, unknown> | undefined } | undefined> {
    try {
      if (command instanceof PutCommand) return await this.#client.send(command);
      if (command instanceof UpdateCommand) return await this.#client.send(command);
      return await this.#client.send(command);
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return undefined;
      throw error;
    }
  }
}

function asLease(item: Record<string, unknown>): Lease {
  const { lease_owner, batch_id, expires_at } = leaseSchema.parse(item);
  return { owner: lease_owner, batchId: batch_id, expiresAt: new Date(expires_at) };
}
