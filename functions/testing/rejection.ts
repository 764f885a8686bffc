/** The error that a promise is rejected with. @throws Error when it is not */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  let answer: unknown;
  try {
    answer = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`rejected with ${String(error)}, which is no Error`);
  }
  throw new Error(`expected a rejection, got ${JSON.stringify(answer)}`);
}
