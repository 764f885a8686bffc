/** The function, put together from whatever its surroundings are: AWS, or a laptop. */
import { IdempotencyConfig, makeIdempotent } from "@aws-lambda-powertools/idempotency";
import type { BasePersistenceLayer } from "@aws-lambda-powertools/idempotency/persistence";
import { MetricUnit } from "@aws-lambda-powertools/metrics";
import type { Context, KinesisStreamBatchResponse, KinesisStreamEvent } from "aws-lambda";
import { z } from "zod";
import type { Contract } from "../../contracts/contract.ts";
import type { ByteStore } from "../shared/byteStore.ts";
import { parseEvent } from "../shared/context.ts";
import type { LogFields } from "../shared/logger.ts";
import type { Partitions } from "../shared/partitions.ts";
import { type Drop, type DropResult, dropHandler } from "./drop.ts";
import type { CustomerSegments, Place } from "./enrich.ts";
import type { Address } from "./ip.ts";
import type { Protector } from "./protect.ts";
import { type StreamResult, streamHandler } from "./stream.ts";
import type { Targets } from "./tables.ts";
import { type Counts, Transform } from "./transform.ts";

/** What the function logs with: Powertools' Logger on AWS. */
export interface ApiLogsLogger {
  info(message: string, fields: LogFields): void;
  warn(message: string, fields: LogFields): void;
  error(message: string, error: Error): void;
}

/** What the function measures with: Powertools' Metrics on AWS. */
export interface ApiLogsMetrics {
  addMetric(name: string, unit: (typeof MetricUnit)["Count"], value: number): unknown;
  publishStoredMetrics(): unknown;
}

export interface ApiLogsDeps {
  readonly contract: Contract;
  readonly targets: Targets;
  readonly store: ByteStore;
  readonly partitions: Partitions;
  readonly segments: CustomerSegments;
  readonly place: (address: Address) => Place;
  readonly protector: Protector;
  readonly idempotency: BasePersistenceLayer;
  readonly logger: ApiLogsLogger;
  readonly metrics: ApiLogsMetrics;
  readonly now: () => Date;
}

const objectCreated = z.looseObject({
  detail: z.looseObject({
    bucket: z.object({ name: z.string() }),
    object: z.looseObject({
      key: z.string(),
      etag: z.string().default(""),
      "version-id": z.string().optional(),
    }),
  }),
});

/** Days for which an object that was processed is remembered. */
const rememberedDays = 30;

export interface ApiLogs {
  /** A batch of the stream. */
  stream(event: KinesisStreamEvent, context?: Context): Promise<StreamResult>;
  /** A dropped object; announced again it is not processed again, and the first answer is given. */
  drop(drop: Drop, context?: Context): Promise<DropResult>;
  /** Either trigger, as Lambda delivers it. */
  handle(event: unknown, context?: Context): Promise<KinesisStreamBatchResponse | DropResult>;
}

const isStream = (event: unknown): event is KinesisStreamEvent =>
  z
    .looseObject({ Records: z.array(z.looseObject({ eventSource: z.literal("aws:kinesis") })).min(1) })
    .safeParse(event).success;

export function apiLogs(deps: ApiLogsDeps): ApiLogs {
  const { logger, metrics, contract } = deps;
  const transform = new Transform(deps);
  const onStream = streamHandler({ ...deps, transform });
  const onDrop = dropHandler({ ...deps, transform });
  const config = new IdempotencyConfig({ expiresAfterSeconds: rememberedDays * 86_400 });
  const once = makeIdempotent(
    async (drop: Drop) => {
      const result = await onDrop(drop);
      measure(result.counts); // an announcement that was answered before is not counted again
      return JSON.parse(JSON.stringify(result)); // an answer that is kept has no undefined
    },
    { persistenceStore: deps.idempotency, config, keyPrefix: `${contract.name}-drop` },
  );

  function measure(counts: Counts): void {
    const { received, accepted, duplicates, quarantined } = counts;
    const refused = Object.values(quarantined).reduce((sum, count) => sum + count, 0);
    metrics.addMetric("RecordsReceived", MetricUnit.Count, received);
    metrics.addMetric("RecordsAccepted", MetricUnit.Count, accepted);
    metrics.addMetric("RecordsDuplicate", MetricUnit.Count, duplicates);
    metrics.addMetric("RecordsQuarantined", MetricUnit.Count, refused);
    metrics.publishStoredMetrics();
  }

  async function stream(event: KinesisStreamEvent, context?: Context): Promise<StreamResult> {
    const result = await onStream(event, context);
    const { counts, objects, errors, response } = result;
    measure(counts);
    const failed = response.batchItemFailures.length;
    for (const error of errors.slice(0, 3)) logger.error("a record failed and comes again", error);
    logger.info("batch", { counts, objects, failed });
    return result;
  }

  async function drop(dropped: Drop, context?: Context): Promise<DropResult> {
    if (context) config.registerLambdaContext(context);
    const result: DropResult = await once(dropped);
    if (result.refused) logger.warn("the object was refused", { ...result });
    else logger.info("object", { ...result });
    return result;
  }

  return {
    stream,
    drop,
    handle: async (event, context) => {
      if (isStream(event)) return (await stream(event, context)).response;
      const { detail } = parseEvent(
        objectCreated,
        event,
        "the event (a batch of Kinesis, or EventBridge's Object Created)",
      );
      const versionId = detail.object["version-id"];
      return drop(
        {
          bucket: detail.bucket.name,
          key: detail.object.key,
          version: versionId ?? detail.object.etag,
          ...(versionId !== undefined && { versionId }),
        },
        context,
      );
    },
  };
}
