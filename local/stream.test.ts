/** `npm run stream` as a person uses it: for some seconds, and until Ctrl-C. */
import path from "node:path";
import { expect } from "chai";
import { background, command, temporaryFolder, until } from "./testing/harness.ts";

const number = String.raw`([\d,]+)`;
const closing = new RegExp(
  `sent ${number} \\(${number} repeated, ${number} too late, ${number} damaged\\); received in all ${number}, ` +
    `${number} of them now = accepted ${number} \\+ duplicate ${number} \\+ quarantined ${number}\n`,
);

/** The numbers of the last line but one. */
function totals(output: string): number[] {
  const found = closing.exec(output);
  expect(found, output).to.be.an("array");
  return (found ?? []).slice(1).map((text) => Number(text.replaceAll(",", "")));
}

describe("npm run stream @slow", function () {
  this.timeout(300_000);

  it("shows what became of every event that it sent, and goes on where it was stopped", async () => {
    const { folder, remove } = await temporaryFolder();
    try {
      const args = ["stream", "--out", path.join(folder, "out"), "--rate", "100"];
      const { code, stdout, stderr } = command(...args, "--seconds", "10");
      expect(code, stdout + stderr).to.equal(0);
      const [sent = 0, repeated, late = 0, damaged = 0, received, now, accepted = 0, copies, refused] =
        totals(stdout);
      expect(sent).to.be.at.least(900);
      expect([received, now, copies, refused]).to.deep.equal([sent, sent, repeated, late + damaged]);
      expect(accepted + (copies ?? 0) + (refused ?? 0)).to.equal(sent);
      const batches = stdout.split("\n").filter((line) => /^ +\d+ +[\d,]+ +[\d,]+ +[\d.]+ s /.test(line));
      expect(batches, "a line for each batch, the last one with nothing left").to.have.length.above(0);
      expect(batches.at(-1)).to.match(/^ +\d+ +[\d,]+ +0 /);

      const again = background(args);
      await until(async () => / s +[\d,]+ +[\d,]+ +[\d,]+ +[\d,]+\n/.test(again.output()), 120);
      again.interrupt();
      expect((await again.exit).code, again.output()).to.equal(0);
      const [more = 0, , , , all, ofThem] = totals(again.output());
      expect([all, ofThem]).to.deep.equal([sent + more, more]);
    } finally {
      await remove();
    }
  });
});
