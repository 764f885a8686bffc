import { createHash } from "node:crypto";
import { expect } from "chai";
import { ObjectNotFoundError } from "../shared/objectStore.ts";
import { rejection } from "../testing/rejection.ts";
import { LakeSegments } from "./segments.ts";

const digitOf = (id: string): string => createHash("sha256").update(id).digest("hex").slice(0, 1);

describe("API logs: segments of customers", () => {
  let time = 0;
  let read: string[];
  let objects: Map<string, string | Error>;
  let segments: LakeSegments;
  beforeEach(() => {
    read = [];
    objects = new Map([[`lookups/customer_segments/${digitOf("C1")}.json`, '{"C1":"premium"}']]);
    const getText = async (bucket: string, key: string): Promise<string> => {
      read.push(key);
      const held = objects.get(key);
      if (held instanceof Error) throw held;
      if (held === undefined) throw new ObjectNotFoundError(bucket, key);
      return held;
    };
    segments = new LakeSegments({ getText }, "curated", () => time);
  });

  it("are found where the export job keeps them, and read once in five minutes", async () => {
    const asked = new Set(["C1", "constructor"]);
    expect([...(await segments.of(asked))]).to.deep.equal([["C1", "premium"]]);
    await segments.of(asked);
    expect(read).to.have.members(
      [...new Set([...asked].map(digitOf))].map((d) => `lookups/customer_segments/${d}.json`),
    );
    const once = read.length;
    time += 5 * 60_000;
    await segments.of(new Set(["C1"]));
    expect(read).to.have.length(once + 1);
  });

  it("fail while their store does, and are looked up again afterwards", async () => {
    const key = `lookups/customer_segments/${digitOf("C1")}.json`;
    objects.set(key, new Error("AccessDenied"));
    expect((await rejection(segments.of(new Set(["C1"])))).message)
      .to.contain(key)
      .and.to.contain("AccessDenied");
    objects.set(key, '{"C1":"business"}');
    expect((await segments.of(new Set(["C1"]))).get("C1")).to.equal("business");
  });
});
