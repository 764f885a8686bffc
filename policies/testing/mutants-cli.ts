// npm run policy:mutants: how many changes of the prod stack the rules find, those made by someone who knows them and
// those made blindly; with the blind ones that nothing finds.
import { iamMutants } from "../iam/mutants.ts";
import { rules } from "../rules.ts";
import { prodStack, wholeStack } from "../testing.ts";
import { cases } from "./cases.ts";
import { explanationsOf, gaps } from "./explanations.ts";
import { mutantsOf } from "./mutants.ts";
import { nameOf, tryBlind } from "./survivors.ts";

const whole = await wholeStack();
const known = cases.reduce((sum, one) => sum + mutantsOf(one, whole).length, 0);
const lines = [
  `${rules.length} rules`,
  `mutants made for a rule: ${known + iamMutants.length} (${known} on settings, ${iamMutants.length} on IAM); ` +
    "the tests hold that each is found by its rule",
];
const { counts, survivors } = tryBlind(await prodStack());
const made = [...counts.values()];
const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
for (const [kind, count] of counts) lines.push(`blind, ${kind}: ${count.found} of ${count.made} found`);
const { unexplained, stale } = gaps([...survivors.values()].map(({ mutant }) => mutant));
lines.push(
  `blind: ${sum(made.map((count) => count.found))} of ${sum(made.map((count) => count.made))} found; ` +
    `${sum([...survivors.values()].map(({ count }) => count))} not found, of ${survivors.size} kinds, ` +
    `${unexplained.length} of them not explained; explanations that fit nothing: ${stale.length}`,
);
const byReason = new Map<string, string[]>();
for (const [name, { mutant, count }] of survivors) {
  const reason = explanationsOf(mutant)[0]?.reason ?? "NOT EXPLAINED";
  const shown = count > 1 ? `${name} (${count})` : name;
  byReason.set(reason, [...(byReason.get(reason) ?? []), shown]);
}
for (const [reason, names] of [...byReason].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  lines.push("", `${names.length} not found: ${reason}`, ...names.map((name) => `  ${name}`));
}
for (const { type, property, kind } of stale) {
  lines.push(`explains nothing any more: ${type} ${property} ${kind}`);
}
process.stdout.write(`${lines.join("\n")}\n`);
for (const mutant of unexplained) process.stderr.write(`not explained: ${nameOf(mutant)}\n`);
if (unexplained.length + stale.length > 0) process.exitCode = 1;
