/** The evaluator by examples; what it decides on the stack's own policies an independent implementation decides too. */
import { expect } from "chai";
import { parseDocument } from "../../policies/iam/document.ts";
import { decide, type Request } from "./evaluate.ts";

const request = (context: Record<string, string[]> = {}, more: Partial<Request> = {}): Request => ({
  principalArn: "arn:aws:iam::111122223333:role/job",
  accountArn: "arn:aws:iam::111122223333:root",
  action: "s3:GetObject",
  resource: "arn:aws:s3:::lake/tables/x",
  context: new Map(Object.entries(context)),
  ...more,
});

const statements = (...given: object[]) =>
  parseDocument({
    Statement: given.map((one) => ({ Effect: "Allow", Action: "s3:GetObject", Resource: "*", ...one })),
  });

const by = (condition: object, context: Record<string, string[]> = {}): string =>
  decide(request(context), { identity: statements({ Condition: condition }) });

describe("evaluating IAM's policies", () => {
  it("denies what nobody allows, and what anybody denies", () => {
    const identity = statements({ Resource: "arn:aws:s3:::lake/tables/*" });
    expect(decide(request(), { identity })).to.equal("Allowed");
    expect(decide(request({}, { resource: "arn:aws:s3:::lake/plans/x" }), { identity })).to.equal(
      "ImplicitlyDenied",
    );
    expect(decide(request({}, { action: "S3:getobject" }), { identity })).to.equal("Allowed");
    const denied = [...identity, ...statements({ Effect: "Deny" })];
    expect(decide(request(), { identity: denied })).to.equal("ExplicitlyDenied");
    const resource = statements({ Effect: "Deny", Principal: "*" });
    expect(decide(request(), { identity, resource })).to.equal("ExplicitlyDenied");
  });

  it("lets a boundary limit, and give nothing", () => {
    const boundary = statements({ Action: "s3:*" });
    expect(decide(request(), { identity: [], boundary })).to.equal("ImplicitlyDenied");
    expect(
      decide(request(), { identity: statements({}), boundary: statements({ Action: "s3:Put*" }) }),
    ).to.equal("ImplicitlyDenied");
  });

  it("lets a resource's policy allow the role it names; a key's has to", () => {
    const named = statements({ Principal: { AWS: "arn:aws:iam::111122223333:role/job" } });
    expect(decide(request(), { identity: [], resource: named })).to.equal("Allowed");
    const other = statements({ Principal: { AWS: "arn:aws:iam::111122223333:role/other" } });
    expect(decide(request(), { identity: [], resource: other })).to.equal("ImplicitlyDenied");
    const ofAccount = statements({ Principal: { AWS: "arn:aws:iam::111122223333:root" } });
    expect(decide(request(), { identity: [], resource: ofAccount })).to.equal("ImplicitlyDenied");
    const key = { action: "kms:Decrypt", resource: "arn:aws:kms:eu-central-1:111122223333:key/1" };
    const identity = statements({ Action: "kms:Decrypt" });
    expect(decide(request({}, key), { identity })).to.equal("ImplicitlyDenied");
    const open = statements({ Action: "kms:*", Principal: { AWS: "arn:aws:iam::111122223333:root" } });
    expect(decide(request({}, key), { identity, resource: open })).to.equal("Allowed");
  });

  it("compares conditions as IAM does, a missing key included", () => {
    expect(by({ StringEquals: { "aws:x": ["a", "b"] } }, { "aws:x": ["b"] })).to.equal("Allowed");
    expect(by({ StringEquals: { "aws:x": "a" } })).to.equal("ImplicitlyDenied");
    expect(by({ StringEqualsIfExists: { "aws:x": "a" } })).to.equal("Allowed");
    expect(by({ StringEqualsIfExists: { "aws:x": "a" } }, { "aws:x": ["b"] })).to.equal("ImplicitlyDenied");
    expect(by({ StringNotEquals: { "aws:x": "a" } })).to.equal("Allowed");
    expect(by({ StringNotEquals: { "aws:x": ["a", "b"] } }, { "aws:x": ["b"] })).to.equal("ImplicitlyDenied");
    expect(by({ StringLike: { "s3:prefix": "runs/*" } }, { "s3:prefix": ["tables/"] })).to.equal(
      "ImplicitlyDenied",
    );
    expect(by({ Bool: { "aws:SecureTransport": "false" } }, { "aws:securetransport": ["true"] })).to.equal(
      "ImplicitlyDenied",
    );
    expect(by({ Null: { "aws:x": "true" } })).to.equal("Allowed");
    expect(by({ Null: { "aws:x": "true" } }, { "aws:x": ["a"] })).to.equal("ImplicitlyDenied");
    expect(
      by({ "ForAllValues:StringEquals": { "aws:tagkeys": "a" } }, { "aws:tagkeys": ["a", "b"] }),
    ).to.equal("ImplicitlyDenied");
    expect(by({ "ForAllValues:StringEquals": { "aws:tagkeys": "a" } })).to.equal("Allowed");
    expect(
      by({ ArnLike: { "aws:x": "arn:aws:sqs:*:1:q-*" } }, { "aws:x": ["arn:aws:sqs:r:1:q-2"] }),
    ).to.equal("Allowed");
    expect(by({ ArnLike: { "aws:x": "arn:aws:sqs:*:q" } }, { "aws:x": ["arn:aws:sqs:r:1:q"] })).to.equal(
      "ImplicitlyDenied",
    );
  });

  it("fills in what the request says of itself, and takes nothing for a value that is not there", () => {
    const own = { StringEquals: { "redshift-data:owner": `$\{aws:userid}` } };
    expect(by(own, { "redshift-data:owner": ["A:s"], "aws:userid": ["A:s"] })).to.equal("Allowed");
    expect(by(own, { "redshift-data:owner": ["B:s"], "aws:userid": ["A:s"] })).to.equal("ImplicitlyDenied");
    expect(by(own, { "redshift-data:owner": [""] })).to.equal("ImplicitlyDenied");
  });

  it("guesses at nothing that it does not know", () => {
    expect(() => by({ DateLessThan: { "aws:CurrentTime": "2026-01-01T00:00:00Z" } })).to.throw(
      "DateLessThan",
    );
    const resource = statements({ NotPrincipal: { AWS: "*" } });
    expect(() => decide(request(), { identity: [], resource })).to.throw("NotPrincipal");
  });
});
