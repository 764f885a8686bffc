import type { GlueClient } from "@aws-sdk/client-glue";
import { expect } from "chai";
import { rejection } from "../testing/rejection.ts";
import { GluePartitions } from "./partitions.ts";

/** A catalog that answers BatchCreatePartition with these error codes; the rest of Glue is not proven here. */
function catalog(codes: readonly string[]): { client: GlueClient; calls: object[] } {
  const calls: object[] = [];
  const send = async (command: { input: object }) => {
    calls.push(command.input);
    if (!("PartitionInputList" in command.input))
      return { Table: { StorageDescriptor: { InputFormat: "parquet" } } };
    return { Errors: codes.map((ErrorCode) => ({ ErrorDetail: { ErrorCode, ErrorMessage: "m" } })) };
  };
  return { client: { send } as unknown as GlueClient, calls };
}

describe("partitions in the Glue catalog", () => {
  const table = { database: "d", table: "t" };

  it("registers a partition once with its table's storage, and remembers it", async () => {
    const { client, calls } = catalog(["AlreadyExistsException"]);
    const partitions = new GluePartitions(client);
    await partitions.register(table, ["2026-03-01", "12"], "s3://b/p/");
    await partitions.register(table, ["2026-03-01", "12"], "s3://b/p/");
    expect(calls).to.have.length(2);
    expect(calls[1])
      .to.have.property("PartitionInputList")
      .that.deep.equals([
        {
          Values: ["2026-03-01", "12"],
          StorageDescriptor: { InputFormat: "parquet", Location: "s3://b/p/" },
        },
      ]);
  });

  it("says what was refused, and tries it again", async () => {
    const { client, calls } = catalog(["InternalServiceException"]);
    const partitions = new GluePartitions(client);
    const failed = await rejection(partitions.register(table, ["a"], "s3://b/p/"));
    expect(failed.message).to.equal("partition a of d.t was not registered: InternalServiceException: m");
    await rejection(partitions.register(table, ["a"], "s3://b/p/"));
    expect(calls).to.have.length(3);
  });
});
