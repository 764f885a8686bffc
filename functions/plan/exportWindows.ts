/** A span of a table's history; `from` is inclusive, `to` exclusive, both at whole seconds. */
export type ExportWindow =
  | { readonly type: "FULL_EXPORT"; readonly from: null; readonly to: Date }
  | { readonly type: "INCREMENTAL_EXPORT"; readonly from: Date; readonly to: Date };

/** How long an incremental export's window may be, in seconds; DynamoDB's limits are 15 minutes and 24 hours. */
export interface WindowLimits {
  readonly minimumSeconds: number;
  readonly maximumSeconds: number;
}

/** The instants a table can be exported of. */
export interface Restorable {
  readonly earliest: Date;
  readonly latest: Date;
}

const wholeSecond = (instant: Date): number => Math.floor(instant.getTime() / 1000) * 1000;

/**
 * The exports that bring a reader from `last` up to the latest restorable instant: one full export at first or
 * when `last` is out of reach, otherwise windows without a gap or an overlap. A rest too short for a window waits
 * for the next run.
 * @param last where the last export ended; undefined when there was none
 */
export function exportWindows(
  last: Date | undefined,
  { earliest, latest }: Restorable,
  { minimumSeconds, maximumSeconds }: WindowLimits,
): ExportWindow[] {
  if (minimumSeconds <= 0 || maximumSeconds < minimumSeconds) {
    throw new Error(
      `export windows of ${minimumSeconds} to ${maximumSeconds} seconds are impossible; the minimum must be above 0 and not above the maximum`,
    );
  }
  const end = wholeSecond(latest);
  if (!last || last < earliest) return [{ type: "FULL_EXPORT", from: null, to: new Date(end) }];
  const windows: ExportWindow[] = [];
  let from = last.getTime();
  while (end - from >= minimumSeconds * 1000) {
    const to = Math.min(from + maximumSeconds * 1000, end);
    windows.push({ type: "INCREMENTAL_EXPORT", from: new Date(from), to: new Date(to) });
    from = to;
  }
  return windows;
}
