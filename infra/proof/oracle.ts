/** IAM's decision by an independent implementation, against which ours is held in tests. */
import { runSimulation } from "@cloud-copilot/iam-simulate";
import type { Request } from "./evaluate.ts";

/** Policy documents that bear on a request, as they are written. */
export interface Documents {
  readonly identity: readonly { readonly name: string; readonly policy: unknown }[];
  readonly boundary?: unknown;
  readonly resource?: unknown;
}

/** What it decides, or its error as a text. The caller is a session of the role. */
export async function simulated(request: Request, documents: Documents): Promise<string> {
  const { principalArn, accountArn, action, context } = request;
  const accountId = accountArn.split(":")[4] ?? "";
  const principal = principalArn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
  const { identity, boundary, resource } = documents;
  const result = await runSimulation(
    {
      request: {
        principal: `${principal}/session`,
        action,
        resource: { resource: request.resource, accountId },
        contextVariables: Object.fromEntries(
          [...context].map(([key, values]) => [key, values.length === 1 ? (values[0] ?? "") : [...values]]),
        ),
      },
      identityPolicies: [...identity],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(resource !== undefined && { resourcePolicy: resource }),
      ...(boundary !== undefined && {
        permissionBoundaryPolicies: [{ name: "boundary", policy: boundary }],
      }),
    },
    {},
  );
  return result.resultType === "error" ? `error: ${JSON.stringify(result.errors)}` : result.overallResult;
}
