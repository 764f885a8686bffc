/** A CSV of API events of a wanted size: what a gateway's export looks like, from a fixed seed. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";

const agents = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
  "securecart-app/4.2.1 (Android 14)",
  "curl/8.4.0",
];
const paths = ["/v1/orders/O-2026-", "/v1/carts/", "/v1/products/sku-", "/v1/customers/C"];
const messages = ["", "", "", '"declined, code ""51"""', "slow downstream", "caf\u00e9 gesperrt"];

export const header =
  "request_id,timestamp,service,client_ip,method,path,protocol,status,latency_ms,bytes_in,bytes_out,user_agent,referrer,customer_id,message";

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Writes at least so many bytes; times are the minutes before `end`. @returns records written */
export async function writeCsv(file: string, bytes: number, end: number): Promise<number> {
  const next = random(6);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const output = createWriteStream(file);
  let size = output.write(`${header}\n`) ? header.length + 1 : header.length + 1;
  let records = 0;
  while (size < bytes) {
    const lines: string[] = [];
    for (let index = 0; index < 1000 && size < bytes; index += 1) {
      const id = Math.floor(next() * 1e12).toString(36);
      const at = new Date(end - Math.floor(next() * 3_600_000)).toISOString();
      const ip = `${1 + Math.floor(next() * 222)}.${Math.floor(next() * 255)}.${Math.floor(next() * 255)}.${Math.floor(next() * 255)}`;
      const path = `${pick(paths)}${Math.floor(next() * 100_000)}?page=${Math.floor(next() * 9)}`;
      const status = pick([200, 200, 200, 201, 304, 404, 500]);
      const line = `${id}-${records},${at},orders,${ip},${pick(["GET", "GET", "POST"])},${path},HTTP/1.1,${status},${Math.floor(next() * 900) / 10},${Math.floor(next() * 2000)},${Math.floor(next() * 90_000)},"${pick(agents)}",,C${Math.floor(next() * 5000)},${pick(messages)}\n`;
      lines.push(line);
      size += Buffer.byteLength(line);
      records += 1;
    }
    if (!output.write(lines.join(""))) await once(output, "drain");
  }
  output.end();
  await finished(output);
  return records;
}
