import { isIPv4 } from "node:net";
import path from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { contractsDir } from "../../contracts/bundle.ts";
import { loadContract } from "../../contracts/contract.ts";
import { parseAddress } from "./ip.ts";
import { valuesReader } from "./parse.ts";
import { redacted, redactedQuery, templatedPath } from "./protect.ts";
import { splitSpaced } from "./spaced.ts";
import { logSourceOf } from "./transform.ts";

describe("API logs: values of a line", () => {
  for (const [line, values] of [
    ['a  "b c" [d e] f', ["a", "b c", "d e", "f"]],
    ['"say \\"hi\\" \\x22there\\x22" x', ['say "hi" "there"', "x"]],
    ['"an "unescaped" quote" x', ['an "unescaped" quote', "x"]],
    ['"a"b" "c"', ['a"b', "c"]],
    ['"GET /a HTTP/1.1" 200 "-" "an "odd" one"', ["GET /a HTTP/1.1", "200", "-", 'an "odd" one']],
    ['"a" b"c', ["a", 'b"c']],
    ['[2001:db8::1]:443 "" -', ["[2001:db8::1]:443", "", "-"]],
    ['a "open', undefined],
    ["a [open", undefined],
  ] as const) {
    it(`are ${JSON.stringify(values)} of ${line}`, () => {
      expect(splitSpaced(line)).to.deep.equal(values);
    });
  }

  it("are decoded where the contract says that they are %-encoded, and only there", async () => {
    const source = logSourceOf(await loadContract(path.join(contractsDir, "api_events.yaml")));
    const format = source.formats.find(({ name }) => name === "cloudfront");
    if (!format?.columns) throw new Error("no format cloudfront");
    const read = valuesReader(format);
    const raw = read(
      format.columns.map((name) => (name.startsWith("cs_u") || name.includes("eferer") ? "a%20%C3%BC" : "1")),
    );
    expect(raw).to.include({ user_agent: "a ü", referrer: "a ü", target: "a%20%C3%BC" });
  });
});

describe("API logs: addresses", () => {
  it("of IPv4 are what Node takes for one, digit by digit", () => {
    const part = fc.oneof(
      fc.nat(300).map(String),
      fc.constantFrom("0", "00", "01", "010", "255", "256", "1e1", " 1", "", "-1", "9999999999"),
    );
    const texts = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join("."));
    fc.assert(
      fc.property(texts, (text) => {
        const expected = isIPv4(text.trim()) ? text.trim().split(".").map(Number) : undefined;
        expect(parseAddress(text), text).to.deep.equal(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  for (const [text, bytes] of [
    ["203.0.113.7:443", [203, 0, 113, 7]],
    ["203.0.113.7, 10.0.0.1", [203, 0, 113, 7]],
    ["::ffff:203.0.113.7", [203, 0, 113, 7]],
    ["[2001:db8::1]:443", [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ["unknown", undefined],
    ["1.2.3.4.5", undefined],
  ] as const) {
    it(`read '${text}'`, () => expect(parseAddress(text)).to.deep.equal(bytes));
  }
});

describe("API logs: protection of texts", () => {
  for (const [text, clean] of [
    ["from zoë.o'x+1@mail.example.com, please", "from [email], please"],
    ["Authorization: Bearer abcdef123456789", "Authorization: Bearer [token]"],
    ["eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl", "[token]"],
    ["key AKIAABCDEFGHIJKLMNOP used", "key [key] used"],
    ["card 4111 1111 1111 1111 refused", "card [number] refused"],
    ["from 203.0.113.7", "from [address]"],
    ["password=hunter2 next", "password=[secret] next"],
    ["nothing to hide, order 17 at 12:30", "nothing to hide, order 17 at 12:30"],
  ] as const) {
    it(`gives '${clean}'`, () => expect(redacted(text)).to.equal(clean));
  }

  it("keeps a query's harmless values, and an id's place in a path", () => {
    expect(redactedQuery("page=2&token=abc&q=a%40b.org")).to.equal("page=2&token=[redacted]&q=[email]");
    expect(templatedPath("/v2/orders/SC000000017/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301")).to.equal(
      "/v2/orders/{id}/items/{id}",
    );
  });
});
