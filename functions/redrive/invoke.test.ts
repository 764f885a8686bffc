/** Calls an AWS CLI that answers by what a test says: that AWS takes these arguments is not proved. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { type AwsCli, invokeDeployed } from "./invoke.ts";

const answering =
  (payload: object, printed: object = { StatusCode: 200 }, asked: string[] = []): AwsCli =>
  (args) => {
    const event = args[args.indexOf("--payload") + 1]?.replace("fileb://", "") ?? "";
    asked.push(...args, readFileSync(event, "utf8"));
    writeFileSync(args.at(-1) ?? "", JSON.stringify(payload));
    return { status: 0, stdout: JSON.stringify(printed), stderr: "" };
  };

describe("redrive of the deployed function", () => {
  const report = {
    objects: [
      { object: "s3://q/aws/lambda/x", records: 3, succeeded: 2, error: "still fails", already: false },
    ],
    records: 3,
    succeeded: 2,
    failed: 1,
  };

  it("calls the function once, without giving up on it, and hands on its report", () => {
    const asked: string[] = [];
    const got = invokeDeployed("shop-redrive", { prefix: "aws/lambda/m/" }, answering(report, {}, asked));
    expect(got).to.deep.equal(report);
    expect(asked.slice(0, 4)).to.deep.equal(["lambda", "invoke", "--function-name", "shop-redrive"]);
    expect(asked.at(-1)).to.equal('{"prefix":"aws/lambda/m/"}');
    expect(asked[asked.indexOf("--cli-read-timeout") + 1]).to.equal("0");
  });

  it("says what the function failed on", () => {
    const failing = answering(
      { errorMessage: "QUARANTINE_BUCKET is not set" },
      { FunctionError: "Unhandled" },
    );
    expect(() => invokeDeployed("shop-redrive", {}, failing)).to.throw(
      "shop-redrive failed: QUARANTINE_BUCKET is not set; its log says more",
    );
  });

  it("says what the AWS CLI refuses", () => {
    const refusing: AwsCli = () => ({ status: 254, stdout: "", stderr: "ResourceNotFoundException\n" });
    expect(() => invokeDeployed("nowhere", {}, refusing)).to.throw("nowhere: ResourceNotFoundException");
  });
});
