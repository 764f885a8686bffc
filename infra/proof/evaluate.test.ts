/** The evaluator by examples; what it decides on the stack's own policies an independent implementation decides too. */
import { expect } from "chai";
import { parseDocument } from "../../policies/iam/document.ts";
import { type Decision, decide, type Request } from "./evaluate.ts";
import { simulated } from "./oracle.ts";

const request = (context: Record<string, string[]> = {}, more: Partial<Request> = {}): Request => ({
  principalArn: "arn:aws:iam::111122223333:role/job",
  accountArn: "arn:aws:iam::111122223333:root",
  action: "s3:GetObject",
  resource: "arn:aws:s3:::lake/tables/x",
  context: new Map(Object.entries(context)),
  ...more,
});

const document = (...given: object[]) => ({
  Version: "2012-10-17",
  Statement: given.map((one) => ({ Effect: "Allow", Action: "s3:GetObject", Resource: "*", ...one })),
});

const statements = (...given: object[]) => parseDocument(document(...given));

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

  describe("a resource's policy beside a boundary, as an independent implementation decides it", () => {
    const role = { AWS: "arn:aws:iam::111122223333:role/job" };
    const root = { AWS: "arn:aws:iam::111122223333:root" };
    const digits = { AWS: "111122223333" };
    const key = { action: "kms:Decrypt", resource: "arn:aws:kms:eu-central-1:111122223333:key/1" };
    const decrypt = { Action: "kms:Decrypt" };
    const wide = document({ Action: "*" });
    const narrow = document({ Action: "s3:Put*" });
    const nothing = document({ Action: "sqs:SendMessage" });
    interface Case {
      readonly of: string;
      readonly request?: Partial<Request>;
      readonly context?: Record<string, string[]>;
      readonly identity: object;
      readonly boundary?: object;
      readonly resource?: object;
      readonly decision: Decision;
    }
    const cases: readonly Case[] = [
      {
        of: "the role by its ARN, within the boundary",
        identity: nothing,
        boundary: wide,
        resource: document({ Principal: role }),
        decision: "Allowed",
      },
      {
        of: "the role by its ARN, beyond the boundary",
        identity: nothing,
        boundary: narrow,
        resource: document({ Principal: role }),
        decision: "ImplicitlyDenied",
      },
      {
        of: "everybody, beyond the boundary",
        identity: nothing,
        boundary: narrow,
        resource: document({ Principal: "*" }),
        decision: "Allowed",
      },
      {
        of: "the account by its number, which gives nothing by itself",
        identity: nothing,
        resource: document({ Principal: digits }),
        decision: "ImplicitlyDenied",
      },
      {
        of: "the account by its number, which is refused",
        identity: document({}),
        resource: document({ Effect: "Deny", Principal: digits }),
        decision: "ExplicitlyDenied",
      },
      {
        of: "a key to the role, whose own policies give nothing",
        request: key,
        identity: nothing,
        resource: document({ ...decrypt, Principal: role }),
        decision: "Allowed",
      },
      {
        of: "a key to the role, beyond the boundary",
        request: key,
        identity: nothing,
        boundary: narrow,
        resource: document({ ...decrypt, Principal: role }),
        decision: "ImplicitlyDenied",
      },
      {
        of: "a key to the account, to a role whose own policies give nothing",
        request: key,
        identity: nothing,
        resource: document({ ...decrypt, Principal: root }),
        decision: "ImplicitlyDenied",
      },
      {
        of: "a key to the account by its number",
        request: key,
        identity: document(decrypt),
        resource: document({ ...decrypt, Principal: digits }),
        decision: "Allowed",
      },
      {
        of: "a key to the account, beyond the boundary",
        request: key,
        identity: document(decrypt),
        boundary: narrow,
        resource: document({ ...decrypt, Principal: root }),
        decision: "ImplicitlyDenied",
      },
      {
        of: "a key to another account",
        request: key,
        identity: document(decrypt),
        resource: document({ ...decrypt, Principal: { AWS: "444455556666" } }),
        decision: "ImplicitlyDenied",
      },
      ...["ForAnyValue:StringNotEquals", "ForAnyValue:StringEquals"].map(
        (operator): Case => ({
          of: `${operator} without the key`,
          identity: document({ Condition: { [operator]: { "aws:TagKeys": "a" } } }),
          decision: "ImplicitlyDenied",
        }),
      ),
      {
        of: "ForAnyValue:StringNotEquals with another value beside it",
        identity: document({ Condition: { "ForAnyValue:StringNotEquals": { "aws:TagKeys": "a" } } }),
        context: { "aws:tagkeys": ["a", "b"] },
        decision: "Allowed",
      },
    ];
    for (const { of, request: more, context, identity, boundary, resource, decision } of cases) {
      it(of, async () => {
        const asked = request(context, more);
        const ours = decide(asked, {
          identity: parseDocument(identity),
          boundary: boundary && parseDocument(boundary),
          resource: resource && parseDocument(resource),
        });
        const theirs = await simulated(asked, {
          identity: [{ name: "own", policy: identity }],
          boundary,
          resource,
        });
        expect({ ours, theirs }).to.deep.equal({ ours: decision, theirs: decision });
      });
    }
  });

  it("guesses at nothing that it does not know", () => {
    expect(() => by({ DateLessThan: { "aws:CurrentTime": "2026-01-01T00:00:00Z" } })).to.throw(
      "DateLessThan",
    );
    const resource = statements({ NotPrincipal: { AWS: "*" } });
    expect(() => decide(request(), { identity: [], resource })).to.throw("NotPrincipal");
    for (const AWS of ["arn:aws:sts::111122223333:assumed-role/job/session", "AROAEXAMPLEID"]) {
      const session = statements({ Principal: { AWS } });
      expect(() => decide(request(), { identity: [], resource: session })).to.throw(AWS);
    }
    const canonical = statements({ Principal: { CanonicalUser: "79a5" } });
    expect(() => decide(request(), { identity: [], resource: canonical })).to.throw("CanonicalUser");
  });
});
