import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { rejection } from "../testing/rejection.ts";
import { readSecret } from "./secrets.ts";

describe("secrets", () => {
  let server: Server;
  let port: number;
  before(async () => {
    server = createServer((request, response) => {
      const id = new URL(request.url ?? "/", "http://localhost").searchParams.get("secretId");
      const allowed = "x-aws-parameters-secrets-token" in request.headers;
      if (allowed && id === "arn:aws:secretsmanager:x:1:secret:db/orders")
        response.end('{"SecretString":"s3cret"}');
      else if (allowed && id === "binary") response.end('{"SecretBinary":"AAAA"}');
      else response.writeHead(400).end("not found");
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  it("reads a secret's text through the extension", async () => {
    expect(await readSecret("arn:aws:secretsmanager:x:1:secret:db/orders", port)).to.equal("s3cret");
  });

  it("says which secret could not be read and why", async () => {
    expect((await rejection(readSecret("gone", port))).message)
      .to.contain("secret gone")
      .and.to.contain("HTTP 400");
    expect((await rejection(readSecret("binary", port))).message).to.contain("holds no text");
    // Port 9 (discard) is not served.
    expect((await rejection(readSecret("db", 9))).message).to.contain("its layer");
  });
});
