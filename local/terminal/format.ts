const counts = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A whole number with thousands separators: 23914 → "23,914". */
export function formatCount(count: number | bigint): string {
  return counts.format(count);
}

/** Milliseconds as people say them: "0 s", "20 ms", "0.4 s", "12.3 s", "3 min 05 s", "1 h 02 min". Negative counts as 0. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.round(Math.max(0, milliseconds));
  if (whole === 0) return "0 s";
  if (whole < 100) return `${whole} ms`;
  const tenths = Math.round(Math.max(0, milliseconds) / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(Math.max(0, milliseconds) / 1000);
  const pad = (part: number): string => String(part).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** Bytes in decimal units, as file managers show them: "512 B", "1.5 kB", "23.4 MB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const next of ["kB", "MB", "GB", "TB", "PB"]) {
    // 999.95 would be printed as "1000.0"; it belongs to the next unit.
    if (Math.abs(value) < (unit === "B" ? 1000 : 999.95)) break;
    value /= 1000;
    unit = next;
  }
  return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
}

/** A fraction of 1 as a percentage that never calls something nothing: 0.00004 → "<0.01 %", 1 → "100 %". */
export function formatShare(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.01) return "<0.01 %";
  if (percent < 100 && percent >= 99.995) return ">99.99 %";
  // Close to nothing and close to everything, two decimals keep 99.99 % from being called all.
  const decimals = percent < 1 || (percent > 99 && percent < 100) ? 2 : 1;
  return `${Number(percent.toFixed(decimals))} %`;
}
