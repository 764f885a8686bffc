import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { S3Client } from "@aws-sdk/client-s3";
import { expect } from "chai";
import { rejection } from "../testing/rejection.ts";
import { S3ObjectStore } from "./objectStore.ts";

const version = (key: string, id: string, latest: boolean, etag = "e") =>
  `<Version><Key>${key}</Key><VersionId>${id}</VersionId><IsLatest>${latest}</IsLatest>` +
  `<LastModified>2026-03-01T12:00:00.000Z</LastModified><ETag>&quot;${etag}&quot;</ETag><Size>7</Size></Version>`;

/** Answers as S3 does, over the wire: two pages of versions, one object, everything else is not there. */
function respond(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://localhost");
  if (url.searchParams.has("versions")) {
    const second = url.searchParams.get("key-marker") === "d/b";
    const page = second
      ? `<IsTruncated>false</IsTruncated>${version("d/b", "v2", false)}${version("d/c", "null", true, "plain")}`
      : `<IsTruncated>true</IsTruncated><NextKeyMarker>d/b</NextKeyMarker><NextVersionIdMarker>v3</NextVersionIdMarker>
         ${version("d/a", "v1", true)}${version("d/b", "v3", true)}
         <DeleteMarker><Key>d/x</Key><VersionId>v9</VersionId><IsLatest>true</IsLatest></DeleteMarker>`;
    response.setHeader("content-type", "application/xml");
    response.end(`<?xml version="1.0"?><ListVersionsResult><Prefix>d/</Prefix>${page}</ListVersionsResult>`);
  } else if (url.pathname === "/bucket/there.json") {
    response.setHeader("etag", '"abc"');
    response.setHeader("x-amz-version-id", "v7");
    response.setHeader("last-modified", "Sun, 01 Mar 2026 12:00:00 GMT");
    response.setHeader("content-length", "3");
    response.end(request.method === "HEAD" ? undefined : "{ }");
  } else {
    response.statusCode = 404;
    response.end(
      request.method === "HEAD" ? undefined : "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>",
    );
  }
}

describe("S3 object store", () => {
  let server: Server;
  let client: S3Client;
  let store: S3ObjectStore;
  before(async () => {
    server = createServer(respond);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    client = new S3Client({
      endpoint: `http://127.0.0.1:${port}`,
      region: "local",
      forcePathStyle: true,
      credentials: { accessKeyId: "local", secretAccessKey: "local" },
    });
    store = new S3ObjectStore(client);
  });
  after(async () => {
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it("lists the newest version of every object, over pages, without deleted ones", async () => {
    const found = await store.list("bucket", "d/");
    expect(found.map(({ key, version }) => [key, version])).to.deep.equal([
      ["d/a", "v1"],
      ["d/b", "v3"],
      // Written while the bucket kept no versions: the etag tells contents apart.
      ["d/c", "plain"],
    ]);
    expect(found[0]).to.deep.equal({
      bucket: "bucket",
      key: "d/a",
      size: 7,
      etag: "e",
      version: "v1",
      lastModified: "2026-03-01T12:00:00.000Z",
    });
  });

  it("reads an object and its head", async () => {
    expect(await store.getText("bucket", "there.json")).to.equal("{ }");
    expect(await store.head("bucket", "there.json")).to.deep.equal({
      bucket: "bucket",
      key: "there.json",
      size: 3,
      etag: "abc",
      version: "v7",
      lastModified: "2026-03-01T12:00:00.000Z",
    });
  });

  it("says what is not there", async () => {
    expect(await store.head("bucket", "gone.json")).to.equal(undefined);
    expect((await rejection(store.getText("bucket", "gone.json"))).message).to.equal(
      "s3://bucket/gone.json does not exist",
    );
  });
});
