import { expect } from "chai";
import { rejection } from "../testing/rejection.ts";
import { MysqlDatabase } from "./mysqlDatabase.ts";

// Its answers are tested where a MySQL server is; what it refuses before it connects is tested here.
describe("MySQL database", () => {
  const secret = async () => ({ username: "etl", password: "x" });
  const at = (host: string) =>
    new MysqlDatabase(() => ({ host, port: 1, database: "shop", tls: true }), secret);

  it("refuses names that are no identifiers", async () => {
    for (const [table, column] of [
      ["orders; DROP TABLE orders", "updated_at"],
      ["orders", "updated_at` OR 1=1 -- "],
    ] as const) {
      const error = await rejection(at("localhost").hasChanges(table, column, new Date(0)));
      expect(error.message).to.contain("is no table or column name");
    }
  });

  it("refuses an address, for which no certificate's name can be checked", async () => {
    expect((await rejection(at("127.0.0.1").now())).message).to.contain("127.0.0.1 is an address");
  });

  it("says which server did not answer which question", async () => {
    const error = await rejection(at("localhost").hasChanges("orders", "updated_at", new Date(0)));
    expect(error.message).to.contain("MySQL at localhost:1/shop").and.to.contain("FROM `orders`");
  });
});
