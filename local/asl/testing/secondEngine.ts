/** Runs cases on ministack (PyPI, MIT), whose Step Functions has an interpreter of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";

import type { Json, StateMachineDefinition } from "../../../workflow/asl.ts";

/** The version whose differences the cases name. */
export const ministackPin = "ministack==1.5.33";

/** The function `probe` (see cases.ts) for a Python runtime. */
const probeSource = `
import time

def handler(event, context):
    time.sleep(event.get("sleepSeconds", 0))
    if event.get("attempt", 0) < event.get("failUntil", 0):
        raise Exception("probe")
    return event.get("returns")
`;

export interface Ended {
  status: string;
  output?: Json;
  error?: string;
  cause?: string;
}

/** Whether the program is installed. */
export function isMinistackInstalled(): boolean {
  return spawnSync("ministack", ["--version"], { stdio: "ignore", timeout: 20_000 }).error === undefined;
}

/** A running ministack. */
export class SecondEngine {
  readonly #url: string;
  readonly #process: ChildProcess;
  #machines = 0;

  private constructor(url: string, process: ChildProcess) {
    this.#url = url;
    this.#process = process;
  }

  /** Starts it on a free port; waits and backoffs take no time there. */
  static async start(): Promise<SecondEngine> {
    const port = await freePort();
    const child = spawn("ministack", [], {
      env: {
        ...process.env,
        GATEWAY_PORT: String(port),
        SFN_WAIT_SCALE: "0",
        PERSIST_STATE: "0",
        BIND_HOST: "127.0.0.1",
      },
      stdio: "ignore",
    });
    const engine = new SecondEngine(`http://127.0.0.1:${port}`, child);
    for (let attempt = 0; ; attempt += 1) {
      try {
        await engine.#stepFunctions("ListStateMachines", {});
        break;
      } catch (error) {
        if (attempt === 100 || child.exitCode !== null) {
          await engine.stop();
          throw new Error(`ministack does not answer on port ${port} (exit code ${child.exitCode})`, {
            cause: error,
          });
        }
        await sleep(200);
      }
    }
    await engine.#createProbe();
    return engine;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || !this.#process.kill()) return;
    await once(this.#process, "exit");
  }

  /** Creates a machine, executes it and waits for its end. */
  async run(definition: StateMachineDefinition, input: Json): Promise<Ended> {
    this.#machines += 1;
    const { stateMachineArn } = await this.#stepFunctions("CreateStateMachine", {
      name: `case-${this.#machines}`,
      definition: JSON.stringify(definition),
      roleArn: "arn:aws:iam::000000000000:role/case",
    });
    const { executionArn } = await this.#stepFunctions("StartExecution", {
      stateMachineArn: stateMachineArn ?? null,
      input: JSON.stringify(input),
    });
    for (;;) {
      const execution = await this.#stepFunctions("DescribeExecution", {
        executionArn: executionArn ?? null,
      });
      const { status, output, error, cause } = execution;
      if (status !== "RUNNING") {
        return {
          status: String(status),
          ...(typeof output === "string" && { output: JSON.parse(output) }),
          ...(typeof error === "string" && { error }),
          ...(typeof cause === "string" && { cause }),
        };
      }
      await sleep(20);
    }
  }

  #stepFunctions(action: string, body: { [key: string]: Json }): Promise<{ [key: string]: Json }> {
    return this.#call("/", "states", body, { "x-amz-target": `AWSStepFunctions.${action}` });
  }

  async #createProbe(): Promise<void> {
    await this.#call("/2015-03-31/functions", "lambda", {
      FunctionName: "probe",
      Runtime: "python3.11",
      Handler: "probe.handler",
      Role: "arn:aws:iam::000000000000:role/case",
      Timeout: 30,
      Code: { ZipFile: zipOf("probe.py", probeSource).toString("base64") },
    });
  }

  async #call(
    path: string,
    service: string,
    body: { [key: string]: Json },
    headers: Record<string, string> = {},
  ): Promise<{ [key: string]: Json }> {
    const credential = `test/20260101/us-east-1/${service}/aws4_request`;
    const response = await fetch(this.#url + path, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.0",
        authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
        ...headers,
      },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${service}: HTTP ${response.status} ${text}`);
    return JSON.parse(text);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}

/** A zip archive of one file, stored without compression. */
function zipOf(name: string, text: string): Buffer {
  const data = Buffer.from(text, "utf8");
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0); // version needed
  fields.writeUInt16LE(0x21, 8); // date: 1980-01-01
  fields.writeUInt32LE(crc32(data), 10);
  fields.writeUInt32LE(data.length, 14);
  fields.writeUInt32LE(data.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), fields, Buffer.from(name), data]);
  const made = Buffer.from([20, 3]); // by Unix, so that the permissions below count
  const attributes = Buffer.alloc(14);
  attributes.writeUInt32LE((0o100644 << 16) >>> 0, 6);
  const central = Buffer.concat([
    Buffer.from("PK\x01\x02", "latin1"),
    made,
    fields,
    attributes,
    Buffer.from(name),
  ]);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
