const iso = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)?$/;
/** Of Apache and nginx: 10/Oct/2000:13:55:36 -0700 */
const common = /^(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})$/;
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const twoDigits = (text: string, at: number): number =>
  (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48;

/** Minutes east of UTC of "+02:00", "-0700", "Z". */
function offsetOf(zone: string | undefined): number {
  if (zone === undefined || zone === "Z" || zone === "z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return zone.startsWith("-") ? -minutes : minutes;
}

/** Microseconds since 1970, undefined when there is no such time: the Date of JavaScript makes 2 March of 30 February. */
function instant(
  [year, month, day]: readonly [number, number, number],
  [hour, minute, second]: readonly [number, number, number],
  micros: number,
  zone: string | undefined,
): number | undefined {
  // A leap second is the first second of the next minute.
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) return undefined;
  if (day > 28 && day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return undefined;
  return (Date.UTC(year, month - 1, day, hour, minute, second) - offsetOf(zone) * 60_000) * 1000 + micros;
}

/**
 * When something happened, from ISO 8601 (UTC without an offset), the common log format, or seconds or milliseconds
 * since 1970 (told apart by their size; a fraction is kept).
 * @returns microseconds since 1970 UTC, digits beyond are cut; undefined when the text is no time
 */
export function parseTime(text: string): number | undefined {
  const found = iso.exec(text);
  if (found) {
    const year = Number(found[1]);
    const fraction = found[7];
    const micros = fraction === undefined ? 0 : Number(fraction.slice(0, 6).padEnd(6, "0"));
    return instant(
      [year, twoDigits(text, 5), twoDigits(text, 8)],
      [twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17)],
      micros,
      found[8],
    );
  }
  const clf = common.exec(text);
  if (clf) {
    const [, day = "", month = "", year = "", hour, minute, second, zone] = clf;
    const date = [Number(year), months.indexOf(month) + 1, Number(day)] as const;
    return instant(date, [Number(hour), Number(minute), Number(second)], 0, zone);
  }
  if (/^\d{9,13}(?:\.\d{1,9})?$/.test(text)) {
    const number = Number(text);
    return Math.round(number * (number < 1e11 ? 1e6 : 1e3));
  }
  return undefined;
}

let lastHour = { hours: Number.NaN, folder: "" };

/** The partition of an hour in UTC, of milliseconds since 1970. Records of one hour mostly come together. */
export function folderOf(millis: number): string {
  const hours = Math.floor(millis / 3_600_000);
  if (hours !== lastHour.hours) {
    const at = new Date(millis).toISOString();
    lastHour = { hours, folder: `arrival_date=${at.slice(0, 10)}/arrival_hour=${twoDigits(at, 11)}` };
  }
  return lastHour.folder;
}
