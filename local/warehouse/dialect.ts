import { DialectError, shapeOf, sourceOf, splitAtCommas, type Token, tokenize } from "./tokens.ts";

export { DialectError } from "./tokens.ts";

/** What to do for one statement of Redshift's SQL in PostgreSQL. */
export type Action =
  | { readonly kind: "sql"; readonly sql: string }
  | { readonly kind: "copy"; readonly table: string; readonly path: string }
  | { readonly kind: "nothing"; readonly why: string };

const list = (words: string): ReadonlySet<string> => new Set(words.trim().split(/\s+/));

/** Functions that Redshift and PostgreSQL both have, with the same meaning. */
const functions = list(`
  ABS AVG BTRIM CEIL CEILING CHAR_LENGTH COALESCE CONCAT COUNT CUME_DIST DATE_PART DATE_TRUNC DENSE_RANK EXP EXTRACT
  FIRST_VALUE FLOOR GREATEST HAS_SCHEMA_PRIVILEGE HAS_TABLE_PRIVILEGE INITCAP LAG LAST_VALUE LEAD LEAST LEFT LENGTH LN
  LOWER LPAD LTRIM MAX MD5 MIN MOD NTILE NULLIF OCTET_LENGTH PERCENTILE_CONT PERCENT_RANK POSITION POWER RANK
  REGEXP_REPLACE REPEAT REPLACE REVERSE RIGHT ROUND ROW_NUMBER RPAD RTRIM SIGN SPLIT_PART SQRT STDDEV_POP STDDEV_SAMP
  STRPOS SUBSTRING SUM TO_CHAR TO_DATE TRANSLATE TRIM TRUNC UPPER VAR_POP VAR_SAMP`);

/** Words that may stand before a parenthesis without being a function. */
const beforeParenthesis = list(`
  ALL AND ANY AS BETWEEN BY CASE CAST CHAR CUBE DECIMAL DISTINCT ELSE EXCEPT EXISTS FROM GROUP HAVING ILIKE IN INSERT INTERSECT
  JOIN LIKE NOT NUMERIC ON OR OVER ROLLUP SELECT SETS SOME THEN UNION USING VALUES VARCHAR WHEN WHERE`);

const castTypes = list(
  "SMALLINT INT INTEGER BIGINT DECIMAL NUMERIC REAL DOUBLE FLOAT BOOLEAN BOOL DATE TIMESTAMP VARCHAR CHAR",
);

/** Grammar of PostgreSQL that Redshift refuses, and Redshift's that PostgreSQL does, with what to write instead. */
const refused: readonly [RegExp, string][] = [
  [/\bRETURNING\b/, "Redshift has no RETURNING; query the rows in a statement of their own"],
  [/\bON CONFLICT\b/, "Redshift has no ON CONFLICT; use MERGE"],
  [/\bQUALIFY\b/, "QUALIFY is Redshift's alone; write ROW_NUMBER() in a subquery, which runs in both"],
  [/\bDISTINCT ON\b/, "Redshift has no DISTINCT ON; write ROW_NUMBER() in a subquery"],
  [/\bIS (NOT )?DISTINCT\b/, "Redshift has no IS DISTINCT FROM; compare and test IS NULL"],
  [/\bLATERAL\b/, "Redshift has no LATERAL"],
  [/\bFILTER \(/, "Redshift has no FILTER (…); write SUM(CASE WHEN … THEN … END)"],
  [/\bWINDOW\b/, "Redshift has no WINDOW clause; write OVER (…) where it is used"],
  [/\bFETCH\b/, "write LIMIT; FETCH belongs to cursors"],
  [/\bTABLESAMPLE\b/, "Redshift has no TABLESAMPLE"],
  [/\b(PIVOT|UNPIVOT)\b/, "PIVOT is Redshift's alone; write CASE expressions, which run in both"],
  [
    /\bMATERIALIZED\b/,
    "Redshift has no MATERIALIZED in a WITH clause, and there are no materialized views here",
  ],
  [/\bFOR (UPDATE|SHARE|NO|KEY)\b/, "Redshift has no FOR UPDATE"],
  [
    /\b(CURRENT_TIMESTAMP|LOCALTIMESTAMP|CURRENT_TIME|LOCALTIME)\b/,
    "Redshift has this on the leader node only; pass the time as a literal",
  ],
  [/:: ?(JSONB?|TEXT|BYTEA|UUID|XML|REGCLASS|NAME)\b/, "Redshift cannot cast to this type"],
  [/\bINTERVAL \(/, "write INTERVAL '1 day'"],
];

const NAME = '(?:[\\p{L}_][\\p{L}\\p{N}_]*|"[^"]+")';
const QNAME = `${NAME}(?: \\. ${NAME})?`;
const form = (text: string): RegExp =>
  new RegExp(`^${text.replaceAll("QNAME", QNAME).replace(/(?<![\\p{L}_])NAME/gu, NAME)}$`, "u");

const privileges =
  "(?:(?:SELECT|INSERT|UPDATE|DELETE|USAGE|CREATE|TEMP|TEMPORARY)(?: , (?:SELECT|INSERT|UPDATE|DELETE|USAGE|CREATE|TEMP|TEMPORARY))*|ALL)";
const object = "(?:(?:SCHEMA|DATABASE|TABLE) )?QNAME";
const forms = {
  copy: form("COPY (QNAME) FROM 'S' IAM_ROLE DEFAULT FORMAT (?:AS )?PARQUET"),
  createSchema: form("CREATE SCHEMA (?:IF NOT EXISTS )?NAME"),
  createRole: form("CREATE ROLE NAME"),
  createUser: form("CREATE USER (NAME) PASSWORD DISABLE"),
  grantRole: form("GRANT ROLE (NAME) TO (?:ROLE )?(NAME)"),
  grantAssumeRole: form("GRANT ASSUMEROLE ON DEFAULT TO ROLE (NAME) FOR COPY"),
  revokeAssumeRole: form("REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL"),
  grant: form(`GRANT ${privileges} ON ${object} TO (?:ROLE )?NAME`),
  revoke: form(`REVOKE ${privileges} ON ${object} FROM (?:ROLE )?NAME`),
  createTableAs: form("CREATE (?:TEMP |TEMPORARY )?TABLE QNAME AS ((?:SELECT|WITH) .+)"),
  createTable: form("CREATE (?:TEMP |TEMPORARY )?TABLE (?:IF NOT EXISTS )?QNAME \\( .+"),
  createView: form("CREATE VIEW QNAME AS (?:SELECT|WITH) .+"),
  drop: form("DROP (?:TABLE|VIEW) (?:IF EXISTS )?QNAME"),
  addColumn: form("ALTER TABLE QNAME ADD (?:COLUMN )?NAME .+"),
  insert: form("INSERT INTO QNAME (?:\\( NAME(?: , NAME)* \\) )?(?:SELECT|WITH|VALUES) .+"),
  update: form("UPDATE QNAME SET .+"),
  delete: form("DELETE FROM QNAME(?: USING QNAME(?: , QNAME)*)?(?: WHERE .+)?"),
  query: form("(?:SELECT|WITH) .+"),
  merge: form(
    "MERGE INTO QNAME USING QNAME(?: (?:AS )?(?!ON )NAME)? ON (.+?) WHEN MATCHED THEN (?:UPDATE SET (.+?)|DELETE) " +
      "WHEN NOT MATCHED THEN INSERT (?:\\( NAME(?: , NAME)* \\) )?VALUES \\( .+ \\)",
  ),
  equalities: form(`QNAME = QNAME(?: AND QNAME = QNAME)*`),
  column: form(
    "(NAME) ((?:SMALLINT|INT|INTEGER|BIGINT|REAL|DOUBLE PRECISION|BOOLEAN|DATE|TIMESTAMP|(?:DECIMAL|NUMERIC) \\( \\d+ , \\d+ \\)|(?:VARCHAR|CHAR) \\( (\\d+) \\)))" +
      "( NOT NULL)?(?: (?:DISTKEY|SORTKEY|PRIMARY KEY|UNIQUE|ENCODE NAME|REFERENCES QNAME(?: \\( NAME \\))?))*",
  ),
  tableConstraint: form(
    "(?:PRIMARY KEY|UNIQUE|FOREIGN KEY) \\( NAME(?: , NAME)* \\)(?: REFERENCES QNAME(?: \\( NAME(?: , NAME)* \\))?)?",
  ),
  attributes: form(
    "(?:(?:DISTSTYLE (?:AUTO|EVEN|ALL|KEY)|DISTKEY \\( NAME \\)|(?:COMPOUND )?SORTKEY \\( NAME(?: , NAME)* \\)|SORTKEY AUTO|BACKUP (?:YES|NO)) ?)*",
  ),
};

/** Every function, cast and clause of a query or change must be one that both databases have. */
function checkExpressions(tokens: readonly Token[], shape: string): void {
  for (const [pattern, why] of refused) if (pattern.test(shape)) throw new DialectError(why);
  tokens.forEach((token, index) => {
    const before = tokens[index - 1]?.text;
    if (tokens[index + 1]?.text === "(" && (token.kind === "word" || token.kind === "quoted")) {
      const name = token.text.replaceAll('"', "").toUpperCase();
      // The list of columns after a table's name, or after the name of a WITH query, is no call.
      const named =
        before === "INTO" || before === "." || before === "TABLE" || before === "WITH" || before === "INSERT";
      if (!named && !functions.has(name) && !beforeParenthesis.has(name)) {
        throw new DialectError(
          `${token.source}(…) is not on the list of functions that Redshift and this database share`,
        );
      }
      if (before === "." && tokens[index - 3]?.text !== "INTO" && tokens[index - 3]?.text !== "TABLE") {
        throw new DialectError(
          `${tokens[index - 2]?.source}.${token.source}(…) is a function of a schema; none are known here`,
        );
      }
    }
    if (before === "::" && !castTypes.has(token.text)) {
      throw new DialectError(`Redshift cannot cast to ${token.source}`);
    }
  });
}

function checkQuery(tokens: readonly Token[], shape: string): void {
  checkExpressions(tokens, shape);
  const change = /\b(INSERT|UPDATE|DELETE|MERGE|INTO|VALUES)\b/.exec(shape);
  if (change) throw new DialectError(`${change[1]} has no place in a query in Redshift`);
}

function checkMerge(tokens: readonly Token[], shape: string): void {
  const match = forms.merge.exec(shape);
  if (!match) {
    throw new DialectError(
      "Redshift's MERGE is MERGE INTO table USING table [AS alias] ON a.x = b.x [AND …] WHEN MATCHED THEN UPDATE SET … | DELETE " +
        "WHEN NOT MATCHED THEN INSERT (…) VALUES (…): no subquery as source, no alias of the target, no conditions, both clauses",
    );
  }
  if (!forms.equalities.test(match[1] ?? "")) {
    throw new DialectError(`Redshift's MERGE matches by equal columns only, not by ${match[1]}`);
  }
  const qualified = /(?:^|, )(\S+ \. \S+) = /.exec(match[2] ?? "");
  if (qualified)
    throw new DialectError(`Redshift's MERGE sets columns by their bare name, not ${qualified[1]}`);
  checkExpressions(tokens, shape);
}

/** One column for PostgreSQL. Redshift counts the length of text in bytes, so a check does. */
function column(tokens: readonly Token[]): { name: string; sql: string } {
  const match = forms.column.exec(shapeOf(tokens));
  if (!match) {
    throw new DialectError(
      `'${sourceOf(tokens)}' is no column of the types and attributes that are known here`,
    );
  }
  const [, upper = "", type = "", bytes, notNull = ""] = match;
  const name = upper.startsWith('"') ? upper : upper.toLowerCase();
  const bare = name.replaceAll('"', "");
  const check = bytes
    ? ` CONSTRAINT "${bare.slice(0, 40)}: at most ${bytes} bytes" CHECK (octet_length(${name}) <= ${bytes})`
    : "";
  return { name: bare, sql: `${name} ${type}${notNull}${check}` };
}

function createTable(tokens: readonly Token[]): string {
  const open = tokens.findIndex(({ text }) => text === "(");
  let depth = 0;
  const close = tokens.findIndex(({ text }, index) => {
    if (text === "(") depth += 1;
    if (text === ")") depth -= 1;
    return index > open && depth === 0;
  });
  if (close < 0) throw new DialectError("CREATE TABLE: a parenthesis is not closed");
  // Redshift neither enforces keys nor has indexes for them: kept here, they would refuse what passes there.
  const columns = splitAtCommas(tokens.slice(open + 1, close))
    .filter((part) => !forms.tableConstraint.test(shapeOf(part)))
    .map(column);
  const attributes = tokens.slice(close + 1);
  if (!forms.attributes.test(shapeOf(attributes))) {
    throw new DialectError(
      `'${sourceOf(attributes)}' is no table attribute; known are DISTSTYLE, DISTKEY, SORTKEY and BACKUP`,
    );
  }
  const names = columns.map(({ name }) => name);
  attributes.forEach((token, index) => {
    const listed = ["(", ","].includes(attributes[index - 1]?.text ?? "");
    const bare = token.kind === "quoted" ? token.source.replaceAll('"', "") : token.source.toLowerCase();
    if (listed && !names.includes(bare))
      throw new DialectError(`DISTKEY or SORTKEY '${bare}' is no column of the table`);
  });
  return `${sourceOf(tokens.slice(0, open))} (${columns.map(({ sql }) => sql).join(", ")})`;
}

const hints: Readonly<Record<string, string>> = {
  "CREATE OR": "Redshift replaces a view only by one with the same columns; DROP VIEW and CREATE VIEW",
  "CREATE INDEX": "Redshift has no indexes; it has SORTKEY",
  "CREATE UNIQUE": "Redshift has no indexes; it has SORTKEY",
  TRUNCATE: "TRUNCATE commits at once in Redshift, whatever comes after; use DELETE",
  BEGIN: "a batch is one transaction already",
  COMMIT: "a batch is one transaction already",
  ROLLBACK: "a batch is one transaction already",
  COPY: "the known form is COPY table FROM 's3://…' IAM_ROLE default FORMAT AS PARQUET",
  SET: "the role and settings of a session are not the statement's to change",
};

/**
 * Turns one statement of Redshift's SQL into what PostgreSQL runs.
 * @throws DialectError for everything that is not known to pass in Redshift with the same meaning
 */
export function adapt(statement: string): Action {
  const tokens = tokenize(statement);
  const shape = shapeOf(tokens);
  const sql = sourceOf(tokens);
  const unchanged: Action = { kind: "sql", sql };
  const copy = forms.copy.exec(shape);
  if (copy) {
    const path =
      tokens
        .find(({ kind }) => kind === "string")
        ?.source.slice(1, -1)
        .replaceAll("''", "'") ?? "";
    const from = tokens.findIndex(({ text }) => text === "FROM");
    return { kind: "copy", table: sourceOf(tokens.slice(1, from)), path };
  }
  if (forms.revokeAssumeRole.test(shape)) return { kind: "nothing", why: "PUBLIC may not read files here" };
  const assume = forms.grantAssumeRole.exec(shape);
  if (assume) return { kind: "sql", sql: `GRANT pg_read_server_files TO ${assume[1]}` };
  const user = forms.createUser.exec(shape);
  if (user) return { kind: "sql", sql: `CREATE ROLE ${user[1]} LOGIN` };
  const role = forms.grantRole.exec(shape);
  if (role) return { kind: "sql", sql: `GRANT ${role[1]} TO ${role[2]}` };
  if (forms.grant.test(shape) || forms.revoke.test(shape)) {
    return { kind: "sql", sql: sourceOf(tokens.filter(({ text }, index) => text !== "ROLE" || index < 2)) };
  }
  if (forms.createSchema.test(shape) || forms.createRole.test(shape) || forms.drop.test(shape))
    return unchanged;
  if (forms.createTableAs.test(shape) || forms.createView.test(shape)) {
    checkQuery(tokens, shape);
    return unchanged;
  }
  if (forms.createTable.test(shape)) return { kind: "sql", sql: createTable(tokens) };
  if (forms.addColumn.test(shape)) {
    const add = tokens.findIndex(({ text }) => text === "ADD");
    const start = tokens[add + 1]?.text === "COLUMN" ? add + 2 : add + 1;
    const added = column(tokens.slice(start));
    if (/ NOT NULL\b/.test(added.sql)) {
      throw new DialectError(`Redshift adds no NOT NULL column without a default: '${added.name}'`);
    }
    return { kind: "sql", sql: `${sourceOf(tokens.slice(0, start))} ${added.sql}` };
  }
  if (tokens[0]?.text === "MERGE") {
    checkMerge(tokens, shape);
    return unchanged;
  }
  if (forms.query.test(shape)) {
    checkQuery(tokens, shape);
    return unchanged;
  }
  if (forms.insert.test(shape) || forms.update.test(shape) || forms.delete.test(shape)) {
    checkExpressions(tokens, shape);
    return unchanged;
  }
  const [first = "", second = ""] = tokens.map(({ text }) => text);
  const hint =
    hints[`${first} ${second}`] ??
    hints[first] ??
    "it is not one of the forms that are known to pass in Redshift";
  throw new DialectError(`${first} ${second}: ${hint}`);
}
