/** Where the extension listens, as its own setting says. */
const extensionPort = (): number => Number(process.env.PARAMETERS_SECRETS_EXTENSION_HTTP_PORT ?? 2773);

/**
 * Reads a secret through the "AWS Parameters and Secrets Lambda Extension", a layer that listens on the function's
 * own host, signs the call and caches the answer. Needs secretsmanager:GetSecretValue on the secret.
 * @returns the secret's text
 * @throws Error that names the secret and what the extension answered
 */
export async function readSecret(secretId: string, port = extensionPort()): Promise<string> {
  const url = `http://localhost:${port}/secretsmanager/get?secretId=${encodeURIComponent(secretId)}`;
  const token = process.env.AWS_SESSION_TOKEN ?? "";
  let text: string;
  try {
    const answer = await fetch(url, { headers: { "X-Aws-Parameters-Secrets-Token": token } });
    text = await answer.text();
    if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${text}`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `secret ${secretId} could not be read through the secrets extension (${why}); check that the function has its ` +
        "layer and may read the secret",
      { cause: error },
    );
  }
  const { SecretString } = JSON.parse(text) as { SecretString?: unknown };
  if (typeof SecretString !== "string") throw new Error(`secret ${secretId} holds no text`);
  return SecretString;
}
