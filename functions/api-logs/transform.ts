/** Records to rows: the same for the stream and for drops. */
import type { Contract } from "../../contracts/contract.ts";
import type { LogFormat, LogSource } from "../../contracts/logFormats.ts";
import { type Cleaned, cleanerOf, type Origin } from "./clean.ts";
import type { CustomerSegments } from "./enrich.ts";
import type { Value } from "./parquet.ts";
import { type Raw, Rejected } from "./parse.ts";
import { type RowTools, rowMaker } from "./row.ts";
import type { BatchObjects } from "./tables.ts";
import { folderOf } from "./times.ts";

/** Where the records of a batch went: received = accepted + duplicates + all of quarantined. */
export interface Counts {
  received: number;
  accepted: number;
  /** Same event id as an earlier record of the same object. */
  duplicates: number;
  /** By reason. */
  quarantined: Record<string, number>;
}

export const noCounts = (): Counts => ({ received: 0, accepted: 0, duplicates: 0, quarantined: {} });

/** @throws Error when records got lost or were counted twice, which is a bug */
export function checkBalance({ received, accepted, duplicates, quarantined }: Counts): void {
  const refused = Object.values(quarantined).reduce((sum, count) => sum + count, 0);
  if (accepted + duplicates + refused !== received) {
    throw new Error(
      `${accepted} accepted + ${duplicates} duplicates + ${refused} quarantined is not ${received} received`,
    );
  }
}

/** A record that was read and, if it could be, cleaned. */
export interface Outcome {
  readonly origin: Origin;
  readonly format: string;
  readonly result: Cleaned | Rejected;
  /** The record as it came, for the quarantine; made only when it is needed. */
  readonly raw: () => string;
}

export interface TransformDeps extends RowTools {
  readonly contract: Contract;
  readonly segments: CustomerSegments;
  readonly now: () => Date;
}

/** The contract's source, which must be logs. */
export function logSourceOf({ file, source }: Contract): LogSource {
  if (source?.kind !== "logs")
    throw new Error(`${file}: its source is no logs; name a contract of API logs in DATASET`);
  return source;
}

export class Transform {
  readonly source: LogSource;
  readonly #deps: TransformDeps;
  readonly #toRow: (record: Cleaned, origin: Origin, format: string, segment: string | null) => Value[];
  readonly #cleaners = new Map<string, (raw: Raw, origin: Origin) => Cleaned | Rejected>();

  constructor(deps: TransformDeps) {
    this.#deps = deps;
    this.source = logSourceOf(deps.contract);
    this.#toRow = rowMaker(deps.contract, deps);
    for (const format of this.source.formats) this.#cleaners.set(format.name, cleanerOf(this.source, format));
  }

  /** Cleans what was read of a record. */
  outcome(format: LogFormat, read: Raw | Rejected, origin: Origin, raw: () => string): Outcome {
    const clean = this.#cleaners.get(format.name);
    if (!clean) throw new Error(`'${format.name}' is no format of ${this.#deps.contract.file}`);
    const result = read instanceof Rejected ? read : clean(read, origin);
    return { origin, format: format.name, result, raw };
  }

  /** Segments of the customers among the outcomes. @throws Error when the store does not answer */
  segmentsOf(outcomes: readonly Outcome[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Set<string>();
    for (const { result } of outcomes) {
      if (!(result instanceof Rejected) && result.customerId !== null) ids.add(result.customerId);
    }
    return ids.size === 0 ? Promise.resolve(new Map()) : this.#deps.segments.of(ids);
  }

  /**
   * Adds outcomes to the objects of their batch, and counts them.
   * @param nameOf name of an object whose first record is this one
   */
  async add(
    outcomes: readonly Outcome[],
    segments: ReadonlyMap<string, string>,
    batch: { readonly objects: BatchObjects; readonly counts: Counts },
    nameOf: (origin: Origin) => string,
  ): Promise<void> {
    const { objects, counts } = batch;
    for (const { origin, format, result, raw } of outcomes) {
      const folder = folderOf(origin.arrived);
      counts.received += 1;
      if (result instanceof Rejected) {
        counts.quarantined[result.reason] = (counts.quarantined[result.reason] ?? 0) + 1;
        const full = objects.refused(folder, nameOf(origin), this.#refusedRow(origin, result, raw()));
        if (full) await full;
        continue;
      }
      // Only within one object: then an object's first record is never a duplicate, and its name stays the same
      // however the stream cuts its batches.
      if (!objects.isNew(folder, result.eventId)) {
        counts.duplicates += 1;
        continue;
      }
      counts.accepted += 1;
      const segment = result.customerId === null ? undefined : segments.get(result.customerId);
      const row = this.#toRow(result, origin, format, segment ?? null);
      const full = objects.row(folder, nameOf(origin), row);
      if (full) await full;
    }
  }

  #refusedRow(origin: Origin, { reason, detail }: Rejected, raw: string): Value[] {
    const object = origin.sequence === null ? origin.object : `${origin.object}/${origin.sequence}`;
    return [object, origin.position, null, reason, detail, raw, this.#deps.now().getTime() * 1000];
  }
}
