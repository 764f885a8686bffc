declare module "dynalite" {
  import type { Server } from "node:http";

  interface Options {
    /** Directory of the LevelDB store; in memory when absent. */
    path?: string;
    /** Milliseconds that a table stays in CREATING. */
    createTableMs?: number;
  }

  export default function dynalite(options?: Options): Server;
}
