import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { root } from "../package/artifacts.ts";
import { parseAsCli, stackNames } from "./stack-file.ts";

describe("a stack's file as the Pulumi CLI reads it", () => {
  for (const stack of stackNames()) {
    it(`is the same for ${stack}`, () => {
      const name = `Pulumi.${stack}.yaml`;
      const parsed = parseAsCli(name, readFileSync(path.join(root, name), "utf8"));
      expect(parsed).to.have.nested.property("config.aws:region", "eu-central-1");
    });
  }

  const bad: [string, string, RegExp][] = [
    [
      "a time without quotes",
      "a: 1\nb: 2026-01-01T00:00:00Z\n",
      /line 2: put '2026-01-01T00:00:00Z' in quotes/,
    ],
    [
      "a question mark in a flow map",
      "a: { b: cron(0 5 ? * MON-FRI *), c: 1 }\n",
      /line 1: put 'cron\(0 5 \? \* MON-FRI \*\)' in quotes/,
    ],
    ["a question mark in a flow list", "a: [what?]\n", /put 'what\?' in quotes/],
    ["what is no YAML", "a: { b: 1\n", /x\.yaml: /],
  ];
  for (const [what, text, message] of bad) {
    it(`refuses ${what}`, () => {
      expect(() => parseAsCli("x.yaml", text)).to.throw(message);
    });
  }

  const good: [string, string, unknown][] = [
    ["a question mark in a block map", "a: cron(0 5 ? * MON-FRI *)\n", { a: "cron(0 5 ? * MON-FRI *)" }],
    [
      "quoted text",
      "a: { b: \"cron(0 5 ? * *)\", c: '2026-01-01T00:00:00Z' }\n",
      { a: { b: "cron(0 5 ? * *)", c: "2026-01-01T00:00:00Z" } },
    ],
    ["ARNs and hours", "a: [arn:aws:iam::1:role/x, Sun:3]\n", { a: ["arn:aws:iam::1:role/x", "Sun:3"] }],
  ];
  for (const [what, text, value] of good) {
    it(`takes ${what} as it is`, () => {
      expect(parseAsCli("x.yaml", text)).to.deep.equal(value);
    });
  }
});
