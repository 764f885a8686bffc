import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { rejection } from "../../functions/testing/rejection.ts";
import { DirectoryStore } from "./directoryStore.ts";

describe("directory store", () => {
  let root: string;
  let store: DirectoryStore;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "securecart-"));
    store = new DirectoryStore(root);
  });
  afterEach(() => rm(root, { recursive: true }));

  it("gives back what was put, and lists by prefix in the order of keys", async () => {
    for (const key of ["a/b.txt", "a/b/c.txt", "a/bc.txt", "a/c.txt", "z.txt"])
      await store.putText("bucket", key, `ø ${key}`);
    expect(await store.getText("bucket", "a/b/c.txt")).to.equal("ø a/b/c.txt");
    const keys = async (prefix: string) => (await store.list("bucket", prefix)).map(({ key }) => key);
    expect(await keys("a/b")).to.deep.equal(["a/b.txt", "a/b/c.txt", "a/bc.txt"]);
    expect(await keys("a/b/")).to.deep.equal(["a/b/c.txt"]);
    expect(await keys("")).to.deep.equal(["a/b.txt", "a/b/c.txt", "a/bc.txt", "a/c.txt", "z.txt"]);
    expect(await keys("none/")).to.deep.equal([]);
  });

  it("knows another content by its etag and version", async () => {
    await store.putText("bucket", "a", "hello");
    const first = await store.head("bucket", "a");
    expect(first).to.include({ size: 5, etag: "5d41402abc4b2a76b9719d911017c592" });
    await store.putText("bucket", "a", "hullo");
    expect((await store.head("bucket", "a"))?.version).to.not.equal(first?.version);
    await store.putText("bucket", "a", "hello");
    expect((await store.head("bucket", "a"))?.version).to.equal(first?.version);
  });

  it("says what is not there", async () => {
    expect(await store.head("bucket", "a")).to.equal(undefined);
    await mkdir(path.join(root, "bucket/folder"), { recursive: true });
    expect(await store.head("bucket", "folder")).to.equal(undefined);
    const error = await rejection(store.getText("bucket", "a"));
    expect([error.name, error.message]).to.deep.equal([
      "ObjectNotFoundError",
      "s3://bucket/a does not exist",
    ]);
  });

  it("lists objects that are links to files", async () => {
    await writeFile(path.join(root, "real.csv"), "id\n");
    await mkdir(path.join(root, "bucket"));
    await symlink(path.join(root, "real.csv"), path.join(root, "bucket/link.csv"));
    expect((await store.list("bucket", "")).map(({ key, size }) => [key, size])).to.deep.equal([
      ["link.csv", 3],
    ]);
  });

  it("names the place that it cannot read", async () => {
    await mkdir(path.join(root, "bucket"), { recursive: true });
    await symlink("loop", path.join(root, "bucket/loop"));
    const error = await rejection(store.list("bucket", ""));
    expect(error.message).to.contain("s3://bucket/loop").and.to.contain(path.join(root, "bucket/loop"));
  });

  it("leaves no part of an object that could not be written", async () => {
    await mkdir(path.join(root, "bucket/taken"), { recursive: true });
    await rejection(store.putText("bucket", "taken", "text"));
    expect(await store.list("bucket", "")).to.deep.equal([]);
  });

  for (const [bucket, key] of [
    ["bucket", "../x"],
    ["bucket", "a/../../x"],
    ["bucket", "/etc/passwd"],
    ["..", "x"],
    ["a/b", "x"],
  ] as const) {
    it(`refuses s3://${bucket}/${key}`, async () => {
      expect((await rejection(store.putText(bucket, key, ""))).message).to.contain("no usable object name");
    });
  }
});
