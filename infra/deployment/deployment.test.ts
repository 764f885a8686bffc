import { expect } from "chai";
import { contractsBundle, contractsDir } from "../../contracts/bundle.ts";
import { keepRunning } from "./keep-running/handler.ts";
import { migrateLake } from "./migrate-lake/handler.ts";
import { migrateWarehouse } from "./migrate-warehouse/handler.ts";
import { publishRecipe } from "./publish-recipe/handler.ts";
import { ApiError, type ApiRequest, lambdaApi } from "./signed.ts";

/** An API that notes what it is asked and answers by what a test says. */
function api(answer: (request: ApiRequest) => unknown): {
  call: (request: ApiRequest) => Promise<unknown>;
  asked: ApiRequest[];
} {
  const asked: ApiRequest[] = [];
  return {
    asked,
    call: async (request) => {
      asked.push(request);
      return answer(request);
    },
  };
}

async function failure(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("a failure was expected");
}

describe("publishing a recipe", () => {
  it("publishes and answers with the version", async () => {
    const { call, asked } = api(({ method }) => (method === "GET" ? { RecipeVersion: "3.0" } : {}));
    expect(await publishRecipe({ recipe: "shop campaigns", sha256: "abc" }, call)).to.deep.equal({
      version: "3.0",
    });
    expect(asked.map(({ method, path, query }) => [method, path, query])).to.deep.equal([
      ["POST", "/recipes/shop%20campaigns/publishRecipe", undefined],
      ["GET", "/recipes/shop%20campaigns", { recipeVersion: "LATEST_PUBLISHED" }],
    ]);
  });
});

describe("migrating the lake", () => {
  it("waits for the job's end", async () => {
    const states = ["STARTING", "RUNNING", "SUCCEEDED"];
    const { call, asked } = api(({ target }) =>
      target === "AWSGlue.StartJobRun" ? { JobRunId: "jr_1" } : { JobRun: { JobRunState: states.shift() } },
    );
    let pauses = 0;
    const answer = await migrateLake({ job: "shop-migrate" }, call, async () => {
      pauses += 1;
    });
    expect(answer).to.deep.equal({ runId: "jr_1" });
    expect(pauses).to.equal(2);
    expect(asked[1]?.body).to.deep.equal({ JobName: "shop-migrate", RunId: "jr_1" });
  });

  it("waits for a run that goes on already, then runs the job all the same", async () => {
    let busy = 2;
    const { call, asked } = api((request) => {
      if (request.target !== "AWSGlue.StartJobRun") return { JobRun: { JobRunState: "SUCCEEDED" } };
      busy -= 1;
      if (busy >= 0) throw new ApiError(request, 400, '{"__type":"ConcurrentRunsExceededException"}');
      return { JobRunId: "jr_2" };
    });
    let pauses = 0;
    const answer = await migrateLake({ job: "j" }, call, async () => {
      pauses += 1;
    });
    expect(answer).to.deep.equal({ runId: "jr_2" });
    expect(pauses).to.equal(2);
    expect(asked).to.have.length(4);
  });

  it("fails when Glue refuses to start it for another reason", async () => {
    const { call } = api((request) => {
      throw new ApiError(request, 400, '{"__type":"EntityNotFoundException"}');
    });
    expect((await failure(migrateLake({ job: "j" }, call))).message).to.contain("EntityNotFoundException");
  });

  for (const state of ["FAILED", "TIMEOUT", "STOPPED", "ERROR"]) {
    it(`fails with the job's own message when it ends ${state}`, async () => {
      const { call } = api(({ target }) =>
        target === "AWSGlue.StartJobRun"
          ? { JobRunId: "jr_1" }
          : { JobRun: { JobRunState: state, ErrorMessage: "column x cannot change" } },
      );
      const { message } = await failure(migrateLake({ job: "j" }, call));
      expect(message).to.contain(state).and.contain("column x cannot change").and.contain("deploy again");
    });
  }
});

describe("keeping a streaming job running", () => {
  /** Glue with runs in these states; a stopped run needs two looks to end. */
  const glue = (states: string[], onStart: () => unknown = () => ({ JobRunId: "jr_new" })) => {
    const left = [...states];
    return api(({ target }) => {
      if (target === "AWSGlue.StartJobRun") return onStart();
      if (target === "AWSGlue.BatchStopJobRun") {
        left.splice(0, left.length, "STOPPING", "STOPPED");
        return {};
      }
      const JobRuns = left.map((JobRunState, index) => ({ Id: `jr_${index}`, JobRunState }));
      if (left[0] === "STOPPING") left.shift();
      return { JobRuns };
    });
  };
  const operations = (asked: ApiRequest[]): string[] =>
    asked.map(({ target }) => target?.replace("AWSGlue.", "") ?? "");
  const pause = async (): Promise<void> => {};

  it("starts it when no run is active", async () => {
    const { call, asked } = glue(["FAILED", "STOPPED"]);
    expect(await keepRunning({ job: "j", start: true }, call, pause)).to.deep.equal({ runId: "jr_new" });
    expect(operations(asked)).to.deep.equal(["GetJobRuns", "GetJobRuns", "StartJobRun"]);
  });

  for (const state of ["STARTING", "RUNNING", "WAITING", "STOPPING"]) {
    it(`leaves a run alone that is ${state}`, async () => {
      const { call, asked } = glue([state]);
      expect(await keepRunning({ job: "j", start: true }, call, pause)).to.deep.equal({});
      expect(operations(asked)).to.deep.equal(["GetJobRuns"]);
    });
  }

  it("ends a run and starts the next when the code changed, also where a person starts the job", async () => {
    const { call, asked } = glue(["RUNNING", "STOPPED"]);
    const answer = await keepRunning({ job: "j", start: false, restart: true }, call, pause);
    expect(answer).to.deep.equal({ runId: "jr_new" });
    expect(operations(asked)).to.deep.equal([
      "GetJobRuns",
      "BatchStopJobRun",
      "GetJobRuns",
      "GetJobRuns",
      "StartJobRun",
    ]);
    expect(asked[1]?.body).to.deep.equal({ JobName: "j", JobRunIds: ["jr_0"] });
  });

  it("starts nothing at a deployment while nothing runs and a person starts the job", async () => {
    const { call, asked } = glue(["STOPPED"]);
    expect(await keepRunning({ job: "j", start: false, restart: true }, call, pause)).to.deep.equal({});
    expect(operations(asked)).to.deep.equal(["GetJobRuns"]);
  });

  it("is content when somebody else was faster, and passes any other refusal on", async () => {
    const refuse = (code: string) => () => {
      throw new ApiError({ service: "glue", method: "POST", path: "/" }, 400, `{"__type":"${code}"}`);
    };
    const { call } = glue([], refuse("ConcurrentRunsExceededException"));
    expect(await keepRunning({ job: "j", start: true }, call, pause)).to.deep.equal({});
    const denied = glue([], refuse("AccessDeniedException"));
    const { message } = await failure(keepRunning({ job: "j", start: true }, denied.call, pause));
    expect(message).to.contain("AccessDenied");
  });
});

describe("migrating the warehouse", () => {
  it("makes what is missing, as the administrator, IAM users before their grants", async () => {
    let id = 0;
    const { call, asked } = api(({ target }) => {
      if (target?.endsWith("ExecuteStatement")) return { Id: String(++id) };
      return target?.endsWith("DescribeStatement") ? { Status: "FINISHED" } : { Records: [] };
    });
    const bundle = JSON.stringify(await contractsBundle([contractsDir]));
    const read: string[] = [];
    const answer = await migrateWarehouse(
      {
        contracts: { bucket: "artifacts", key: "contracts.json" },
        workgroup: "shop",
        database: "warehouse",
        secretArn: "arn:secret",
        members: { loader: ["IAMR:shop-workflow"], bi_reader: ["IAMR:shop-bi"] },
      },
      call,
      async (bucket, key) => {
        read.push(`${bucket}/${key}`);
        return bundle;
      },
    );
    expect(read).to.deep.equal(["artifacts/contracts.json"]);
    const batches = asked.filter(({ target }) => target === "RedshiftData.BatchExecuteStatement");
    for (const { body } of batches) {
      expect(body).to.include({ WorkgroupName: "shop", Database: "warehouse", SecretArn: "arn:secret" });
    }
    const statements = batches.flatMap(({ body }) => (body as { Sqls: string[] }).Sqls);
    expect(answer.statements).to.equal(statements.length);
    const user = statements.findIndex((sql) => sql.startsWith('CREATE USER "IAMR:shop-bi"'));
    const grant = statements.indexOf('GRANT ROLE bi_reader TO "IAMR:shop-bi"');
    expect(user).to.be.greaterThan(-1);
    expect(grant).to.be.greaterThan(user);
    expect(statements.some((sql) => sql.includes("stage.order_history"))).to.equal(true);
  });
});

describe("signed calls", () => {
  const environment = {
    AWS_REGION: "eu-central-1",
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    AWS_SESSION_TOKEN: "token",
  };
  const saved = { ...process.env };
  beforeEach(() => Object.assign(process.env, environment));
  afterEach(() => {
    for (const name of Object.keys(environment)) {
      const before = saved[name];
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    }
  });

  it("carry the JSON protocol's headers and a signature over them", async () => {
    const sent: { url: string; init: RequestInit | undefined }[] = [];
    const call = lambdaApi(async (url, init) => {
      sent.push({ url: String(url), init });
      return new Response('{"Id":"1"}');
    });
    const body = { Sql: "select 1" };
    expect(
      await call({
        service: "redshift-data",
        method: "POST",
        path: "/",
        target: "RedshiftData.ExecuteStatement",
        body,
      }),
    ).to.deep.equal({ Id: "1" });
    const headers = new Headers(sent[0]?.init?.headers);
    expect(sent[0]?.url).to.equal("https://redshift-data.eu-central-1.amazonaws.com/");
    expect(sent[0]?.init?.body).to.equal('{"Sql":"select 1"}');
    expect(headers.get("x-amz-target")).to.equal("RedshiftData.ExecuteStatement");
    expect(headers.get("content-type")).to.equal("application/x-amz-json-1.1");
    expect(headers.get("x-amz-security-token")).to.equal("token");
    expect(headers.get("authorization")).to.match(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/redshift-data\/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$/,
    );
  });

  it("put a query into the address", async () => {
    let url = "";
    const call = lambdaApi(async (to) => {
      url = String(to);
      return new Response("");
    });
    expect(
      await call({
        service: "databrew",
        method: "GET",
        path: "/recipes/r",
        query: { recipeVersion: "LATEST_PUBLISHED" },
      }),
    ).to.deep.equal({});
    expect(url).to.equal(
      "https://databrew.eu-central-1.amazonaws.com/recipes/r?recipeVersion=LATEST_PUBLISHED",
    );
  });

  it("fail with what the service said", async () => {
    const call = lambdaApi(async () => new Response('{"__type":"AccessDeniedException"}', { status: 400 }));
    const error = await failure(
      call({ service: "glue", method: "POST", path: "/", target: "AWSGlue.StartJobRun", body: {} }),
    );
    expect(error).to.be.instanceOf(ApiError);
    expect(error.message)
      .to.contain("glue AWSGlue.StartJobRun answered 400")
      .and.contain("AccessDeniedException");
  });

  it("fail outside of a function", async () => {
    delete process.env.AWS_REGION;
    const { message } = await failure(lambdaApi()({ service: "glue", method: "POST", path: "/" }));
    expect(message).to.contain("AWS_REGION is not set");
  });
});
