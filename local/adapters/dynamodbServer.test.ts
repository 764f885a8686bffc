import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { Ledger } from "../../functions/shared/ledger.ts";
import { startDynamodb } from "./dynamodbServer.ts";

describe("local DynamoDB", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "securecart-"));
  });
  afterEach(() => rm(root, { recursive: true }));

  it("keeps the ledger between runs", async () => {
    const directory = path.join(root, "new/ledger");
    const mark = { watermark: "2026-03-01T12:00:00.000Z" };
    for (const run of [1, 2]) {
      const server = await startDynamodb(directory);
      try {
        const ledger = new Ledger(server.client, server.ledgerTable, "test");
        if (run === 1) await ledger.advanceWatermark("orders", mark, "b1");
        else expect((await ledger.watermarks(["orders"])).get("orders")).to.deep.equal(mark);
      } finally {
        await server.close();
      }
    }
  });
});
