/** The cases that every engine has to pass: small machines with their inputs and ends. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import type { Json, StateMachineDefinition } from "../../../workflow/asl.ts";

export interface Case {
  name: string;
  definition: StateMachineDefinition;
  input: Json;
  expected: { status: "SUCCEEDED"; output: Json } | { status: "FAILED"; error: string; cause?: string };
  /** How the second engine differs, and what the language says; absent where it must agree. */
  secondEngine?: string;
}

/**
 * What the function `probe` does, in both engines: it sleeps, raises an exception while `attempt` is less than
 * `failUntil`, and otherwise gives `returns`.
 */
export interface Probe {
  sleepSeconds?: number;
  failUntil?: number;
  attempt?: number;
  returns?: Json;
}

/** The name that the second engine gives to every exception of a function. */
export const probeError = "Runtime.HandlerError";

/** All cases by topic. */
export function readCases(): Map<string, Case[]> {
  const directory = path.join(import.meta.dirname, "../cases");
  const files = readdirSync(directory).filter((file) => file.endsWith(".json"));
  return new Map(
    files.sort().map((file) => {
      const cases: Case[] = JSON.parse(readFileSync(path.join(directory, file), "utf8"));
      return [path.basename(file, ".json"), cases];
    }),
  );
}
