import { DocumentError, type PolicyStatement, parseDocument } from "../iam/document.ts";
import { type Reader, UnexpectedType } from "../reader.ts";

/**
 * The statements of a policy document.
 * @throws UnexpectedType when it is none, so that the rule reports it; UnknownValue when it is unknown
 */
export function statementsOf(resource: Reader, path: string): readonly PolicyStatement[] {
  const document = resource.raw(path);
  if (document === undefined || document === "") return [];
  try {
    return parseDocument(document);
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new UnexpectedType(resource.fullPath(path), document, `a policy document (${error.message})`);
  }
}
