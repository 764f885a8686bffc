-- What stands in for Redshift's own catalog, and the memory of the Data API. Runs at every start.
CREATE SCHEMA IF NOT EXISTS redshift;

CREATE TABLE IF NOT EXISTS redshift.statements (
  id text PRIMARY KEY,
  client_token text UNIQUE,
  digest text NOT NULL,
  status text NOT NULL,
  error text
);

CREATE OR REPLACE VIEW redshift.svv_roles AS
SELECT oid AS role_id, rolname::text AS role_name FROM pg_roles
WHERE NOT rolcanlogin AND rolname NOT LIKE 'pg\_%';

CREATE OR REPLACE VIEW redshift.svv_columns AS
SELECT table_schema::text, table_name::text, column_name::text, ordinal_position::int, data_type::text,
  character_maximum_length::int, numeric_precision::int, numeric_scale::int
FROM information_schema.columns;

GRANT USAGE ON SCHEMA redshift TO PUBLIC;
GRANT SELECT ON redshift.svv_roles, redshift.svv_columns TO PUBLIC;

SET search_path TO "$user", public, redshift;
SET TIME ZONE 'UTC';
