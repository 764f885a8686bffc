import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "chai";
import { remembered } from "./cache.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** What this process holds after a collection, in bytes: V8 keeps long texts outside its heap. */
function held(): number {
  for (let n = 0; n < 3; n += 1) collect(); // the memory of buffers is given back after a collection, by a thread of its own
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe("what is remembered of texts", () => {
  it("is kept for keys of up to 1,024 characters; longer ones are computed each time", () => {
    const computed: number[] = [];
    const lengthOf = remembered((text: string) => {
      computed.push(text.length);
      return String(text.length);
    });
    for (const length of [1024, 1024, 1025, 1025]) {
      expect(lengthOf("x".repeat(length))).to.equal(String(length));
    }
    expect(computed).to.deep.equal([1024, 1025, 1025]);
  });

  it("is forgotten when there is too much of it", () => {
    let computed = 0;
    const same = remembered((text: string | null) => {
      computed += 1;
      return text;
    }, 2);
    for (const key of ["a", "b", "a", "c", "c", "a"]) same(key);
    expect(computed).to.equal(4);
  });

  it("holds no line that a key or an answer was cut out of", () => {
    const tail = remembered((text: string) => ({ tail: text.slice(-20) }));
    const before = held();
    for (let n = 0; n < 64; n += 1) {
      // Decoded from bytes, as lines are: a text of its own of a mebibyte.
      const line = Buffer.alloc(1 << 20, `${n} /orders/of/somebody `).toString("latin1");
      tail(line.slice(0, 100));
    }
    expect(held() - before).to.be.below(16 << 20);
    expect(tail(`${"0 /orders/of/somebody ".repeat(5)}`.slice(0, 100)).tail).to.have.length(20);
  });
});
