import { expect } from "chai";
import { adapt, DialectError } from "./dialect.ts";

const sqlOf = (statement: string): string => {
  const action = adapt(statement);
  return action.kind === "sql" ? action.sql : action.kind;
};

describe("Redshift's grammar", () => {
  const refused: [string, RegExp][] = [
    ["INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", /use MERGE/],
    ["INSERT INTO t (a) VALUES (1) RETURNING a", /no RETURNING/],
    ["CREATE INDEX i ON t (a)", /no indexes/],
    ["CREATE UNIQUE INDEX i ON t (a)", /no indexes/],
    ["CREATE TABLE t (a SERIAL)", /'a SERIAL' is no column/],
    ["CREATE TABLE t (a TEXT)", /'a TEXT' is no column/],
    ["CREATE TABLE t (a INTEGER CHECK (a > 0))", /is no column/],
    ["CREATE TABLE t (a INTEGER) SORTKEY (b)", /'b' is no column of the table/],
    ["CREATE TABLE t (a INTEGER) PARTITION BY RANGE (a)", /is no table attribute/],
    ["CREATE TABLE t (a INTEGER) TABLESPACE x", /is no table attribute/],
    ["CREATE OR REPLACE VIEW v AS SELECT 1", /DROP VIEW and CREATE VIEW/],
    ["CREATE MATERIALIZED VIEW v AS SELECT 1", /not one of the forms/],
    ["CREATE ROLE IF NOT EXISTS r", /not one of the forms/],
    ["ALTER TABLE t ADD COLUMN IF NOT EXISTS a INTEGER", /is no column/],
    ["ALTER TABLE t ADD COLUMN a INTEGER, ADD COLUMN b INTEGER", /is no column/],
    ["ALTER TABLE t ADD COLUMN a INTEGER NOT NULL", /NOT NULL column without a default/],
    ["DROP TABLE t CASCADE", /not one of the forms/],
    ["TRUNCATE t", /commits at once/],
    ["BEGIN", /one transaction already/],
    ["SET ROLE loader", /not the statement's to change/],
    ["RESET ROLE", /not one of the forms/],
    ["DO 'x'", /not one of the forms/],
    ["SELECT a::jsonb FROM t", /cannot cast/],
    ["SELECT a::text FROM t", /cannot cast/],
    ["SELECT a::interval FROM t", /cannot cast/],
    ["SELECT a -> 'b' FROM t", /no operator ->/],
    ["SELECT a[1] FROM t", /not in Redshift's grammar/],
    ["SELECT $1", /not in Redshift's grammar/],
    ["SELECT $$x$$", /not in Redshift's grammar/],
    ["SELECT E'a'", /no E'…' literal/],
    ["SELECT 'a\\b'", /backslash/],
    ["SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1", /ROW_NUMBER\(\) in a subquery/],
    ["SELECT DISTINCT ON (a) a FROM t", /no DISTINCT ON/],
    ["SELECT COUNT(*) FILTER (WHERE a > 1) FROM t", /no FILTER/],
    ["SELECT a IS DISTINCT FROM b FROM t", /no IS DISTINCT FROM/],
    ["SELECT * FROM t, LATERAL (SELECT 1) x", /no LATERAL/],
    ["SELECT string_agg(a, ',') FROM t", /string_agg\(…\) is not on the list/],
    ["SELECT \"string_agg\"(a, ',') FROM t", /is not on the list/],
    ["SELECT pg_catalog.lower(a) FROM t", /function of a schema/],
    ["SELECT * FROM generate_series(1, 3)", /generate_series\(…\) is not on the list/],
    ["SELECT pg_read_file('x')", /is not on the list/],
    ["SELECT now()", /is not on the list/],
    ["SELECT CURRENT_TIMESTAMP", /leader node only/],
    ["SELECT * INTO x FROM t", /INTO has no place/],
    ["SELECT * FROM (VALUES (1)) AS v", /VALUES has no place/],
    ["WITH d AS (DELETE FROM t) SELECT 1", /DELETE has no place/],
    ["SELECT a FROM t FOR UPDATE", /no FOR UPDATE/],
    ["SELECT 1; SELECT 2", /one statement at a time/],
    ["  -- nothing", /there is no statement/],
    ["DELETE FROM t AS x WHERE a = 1", /not one of the forms/],
    ["DELETE FROM t USING (SELECT 1) s WHERE a = 1", /not one of the forms/],
    [
      "MERGE INTO t USING (SELECT 1 AS a) s ON t.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.a)",
      /no subquery as source/,
    ],
    [
      "MERGE INTO t AS x USING s ON x.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.a)",
      /no alias of the target/,
    ],
    [
      "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b > 1 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.a)",
      /no conditions/,
    ],
    ["MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.a)", /both clauses/],
    [
      "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE",
      /both clauses/,
    ],
    [
      "MERGE INTO t USING s ON t.a > s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.a)",
      /equal columns only/,
    ],
    [
      "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET t.b = s.b WHEN NOT MATCHED THEN INSERT VALUES (s.a)",
      /bare name/,
    ],
    ["COPY t FROM 's3://b/k' IAM_ROLE default FORMAT AS PARQUET REGION 'x'", /known form is COPY/],
    ["COPY t FROM '/etc/passwd'", /known form is COPY/],
    ["GRANT SELECT ON t TO ROLE r WITH GRANT OPTION", /not one of the forms/],
  ];
  for (const [statement, why] of refused) {
    it(`refuses ${statement.trim().slice(0, 90)}`, () => {
      expect(() => adapt(statement)).to.throw(DialectError, why);
    });
  }

  it("leaves out what Redshift does not enforce, and counts text in bytes", () => {
    const sql = sqlOf(
      'CREATE TABLE stage.t ("id" VARCHAR(10) NOT NULL ENCODE zstd, price DECIMAL(12,2), PRIMARY KEY ("id")) DISTKEY ("id") COMPOUND SORTKEY ("id", price) BACKUP YES',
    );
    expect(sql).to.equal(
      'CREATE TABLE stage . t ("id" VARCHAR ( 10 ) NOT NULL CONSTRAINT "id: at most 10 bytes" CHECK (octet_length("id") <= 10), price DECIMAL ( 12 , 2 ))',
    );
  });

  it("turns roles, users and the right to COPY into PostgreSQL's", () => {
    expect(sqlOf("GRANT SELECT ON mart.v TO ROLE bi_reader")).to.equal(
      "GRANT SELECT ON mart . v TO bi_reader",
    );
    expect(sqlOf('GRANT ROLE loader TO "IAMR:load"')).to.equal('GRANT LOADER TO "IAMR:load"');
    expect(sqlOf('CREATE USER "IAMR:load" PASSWORD DISABLE')).to.equal('CREATE ROLE "IAMR:load" LOGIN');
    expect(sqlOf("GRANT ASSUMEROLE ON default TO ROLE loader FOR COPY")).to.equal(
      "GRANT pg_read_server_files TO LOADER",
    );
    expect(sqlOf("REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL")).to.equal("nothing");
    expect(adapt("copy x FROM 's3://b/k/' iam_role default format as parquet")).to.deep.equal({
      kind: "copy",
      table: "x",
      path: "s3://b/k/",
    });
  });

  it("does not take the text of a literal for grammar", () => {
    const sql = "SELECT 'ON CONFLICT; RETURNING $1 it''s' AS a";
    expect(sqlOf(sql)).to.equal(sql);
  });

  const accepted = [
    "SELECT region, SUM(net_amount) AS net FROM mart.order_history WHERE ordered_at >= '2024-01-01' GROUP BY region ORDER BY 2 DESC LIMIT 5",
    "WITH x AS (SELECT a, ROW_NUMBER() OVER (PARTITION BY b ORDER BY c DESC) AS n FROM t) SELECT * FROM x WHERE n = 1",
    "SELECT CAST(a AS DECIMAL(12,2)), b::VARCHAR(10), COALESCE(c, 0) FROM t LEFT JOIN u USING (id)",
    "UPDATE t SET a = 1 WHERE b IN (1, 2)",
    "DELETE FROM t USING stage.u WHERE t.a = u.a AND t.b < u.b",
    "MERGE INTO stage.t USING s AS x ON t.a = x.a AND t.b = x.b WHEN MATCHED THEN UPDATE SET c = x.c WHEN NOT MATCHED THEN INSERT (a, b) VALUES (x.a, x.b);",
  ];
  for (const statement of accepted) {
    it(`accepts ${statement.slice(0, 90)}`, () => {
      expect(adapt(statement).kind).to.equal("sql");
    });
  }
});
