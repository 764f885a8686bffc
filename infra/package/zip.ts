import { crc32 } from "node:zlib";

/** A file of an archive. */
export interface Entry {
  /** Path in the archive with `/`. */
  readonly path: string;
  readonly data: Buffer;
}

const utf8Names = 0x0800;
// The earliest date of the format: an archive must not depend on when it was made.
const date = 0x0021;

function header(signature: number, length: number, write: (view: DataView) => void): Buffer {
  const bytes = Buffer.alloc(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  view.setUint32(0, signature, true);
  write(view);
  return bytes;
}

/**
 * A zip archive whose bytes follow from its entries alone: sorted by path, one date, no compression (whose result
 * would depend on the zlib of the Node that runs).
 *
 * @throws Error when two entries have one path
 */
export function zip(entries: readonly Entry[]): Buffer {
  const sorted = entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  sorted.forEach(({ path, data }, index) => {
    if (sorted[index + 1]?.path === path) throw new Error(`the archive would hold '${path}' twice`);
    const name = Buffer.from(path, "utf8");
    const checksum = crc32(data);
    const common = (view: DataView, at: number): void => {
      view.setUint16(at, 20, true);
      view.setUint16(at + 2, utf8Names, true);
      view.setUint16(at + 8, date, true);
      view.setUint32(at + 10, checksum, true);
      view.setUint32(at + 14, data.length, true);
      view.setUint32(at + 18, data.length, true);
      view.setUint16(at + 22, name.length, true);
    };
    const local = header(0x04034b50, 30, (view) => common(view, 4));
    const central = header(0x02014b50, 46, (view) => {
      view.setUint16(4, 20, true);
      common(view, 6);
      view.setUint32(42, offset, true);
    });
    parts.push(local, name, data);
    directory.push(central, name);
    offset += local.length + name.length + data.length;
  });
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = header(0x06054b50, 22, (view) => {
    view.setUint16(8, sorted.length, true);
    view.setUint16(10, sorted.length, true);
    view.setUint32(12, size, true);
    view.setUint32(16, offset, true);
  });
  return Buffer.concat([...parts, ...directory, end]);
}
