-- Schemas, roles and what they may do. Runs as the administrator; safe to run again.
-- stage holds every column of every table; mart holds the views that BI reads.
-- The migration creates the schemas and roles that are missing first: Redshift has no CREATE ROLE IF NOT EXISTS.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA stage FROM PUBLIC;
REVOKE ALL ON SCHEMA mart FROM PUBLIC;

-- Only the loader may create temporary tables and read files through the warehouse's IAM role.
REVOKE TEMP ON DATABASE "{{database}}" FROM PUBLIC;
GRANT TEMP ON DATABASE "{{database}}" TO ROLE loader;
REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL;
GRANT ASSUMEROLE ON default TO ROLE loader FOR COPY;

GRANT USAGE ON SCHEMA stage TO ROLE loader;
GRANT USAGE ON SCHEMA mart TO ROLE bi_reader;
