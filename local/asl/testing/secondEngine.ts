/** Runs cases on ministack (PyPI, MIT), whose Step Functions has an interpreter of its own. */
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";

import type { Json, StateMachineDefinition } from "../../../workflow/asl.ts";
import { type Ministack, startMinistack } from "../../testing/ministack.ts";

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

/** A running ministack. */
export class SecondEngine {
  readonly #ministack: Ministack;
  #machines = 0;

  private constructor(ministack: Ministack) {
    this.#ministack = ministack;
  }

  static async start(): Promise<SecondEngine> {
    const engine = new SecondEngine(await startMinistack());
    try {
      await engine.#createProbe();
      return engine;
    } catch (error) {
      await engine.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.#ministack.stop();
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
    const response = await fetch(this.#ministack.url + path, {
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
