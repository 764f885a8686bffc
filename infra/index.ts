import { deploy } from "./program.ts";

/** The Pulumi program: the stack's configuration in, one EtlPipeline out. */
export default (): Promise<Record<string, unknown>> => deploy();
