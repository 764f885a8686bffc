/** Starts ministack (PyPI, MIT), which speaks the protocols of many AWS services on one port. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** The version whose differences the tests name. */
export const ministackPin = "ministack==1.5.33";

/** Whether the program is installed. */
export function isMinistackInstalled(): boolean {
  return spawnSync("ministack", ["--version"], { stdio: "ignore", timeout: 20_000 }).error === undefined;
}

/** What a suite says when it cannot run. */
export const ministackMissing = (what: string): string =>
  `\n!! ${what} did NOT run: ministack is not installed.\n` +
  `!! Install it into the virtual environment with: .venv/bin/pip install ${ministackPin}\n`;

export interface Ministack {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts it on a free port, with nothing kept from earlier; waits and backoffs of workflows take no time there. */
export async function startMinistack(): Promise<Ministack> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
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
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || !child.kill()) return;
    await once(child, "exit");
  };
  for (let attempt = 0; ; attempt += 1) {
    try {
      await fetch(url);
      return { url, stop };
    } catch (error) {
      if (attempt === 150 || child.exitCode !== null) {
        await stop();
        throw new Error(`ministack does not answer on port ${port} (exit code ${child.exitCode})`, {
          cause: error,
        });
      }
      await sleep(200);
    }
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
