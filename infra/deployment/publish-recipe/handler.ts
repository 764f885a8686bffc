import { z } from "zod";
import { type ApiCall, lambdaApi } from "../signed.ts";

const event = z.object({ recipe: z.string().min(1), sha256: z.string() });
const described = z.object({ RecipeVersion: z.string().min(1) });

/**
 * Publishes a DataBrew recipe's working version. A job can be pinned to a published version only, and CloudFormation
 * does not publish.
 *
 * @param input `{recipe, sha256}`: its name, and the hash of its steps, so that a deployment publishes once a change
 * @returns the version that was published
 */
export async function publishRecipe(input: unknown, call: ApiCall): Promise<{ version: string }> {
  const { recipe, sha256 } = event.parse(input);
  const path = `/recipes/${encodeURIComponent(recipe)}`;
  const body = { Description: `steps ${sha256.slice(0, 16)}` };
  await call({ service: "databrew", method: "POST", path: `${path}/publishRecipe`, body });
  const latest = { recipeVersion: "LATEST_PUBLISHED" };
  const answer = described.parse(await call({ service: "databrew", method: "GET", path, query: latest }));
  return { version: answer.RecipeVersion };
}

export const handler = (input: unknown): Promise<{ version: string }> => publishRecipe(input, lambdaApi());
