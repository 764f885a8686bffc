-- Loads one batch of changed rows of stage.{{table}} by key. One transaction; running it again changes nothing.

CREATE TEMP TABLE {{table}}_batch (
  {{column_definitions}},
  version_at TIMESTAMP,
  batch_id VARCHAR(64),
  _op CHAR(1)
);

COPY {{table}}_batch FROM '{{path}}' IAM_ROLE default FORMAT AS PARQUET;

-- MERGE refuses a key that occurs twice: the newest version of each stays, an upsert before a delete.
CREATE TEMP TABLE {{table}}_latest AS
SELECT {{columns}}, version_at, batch_id, _op
FROM (
  SELECT {{columns}}, version_at, batch_id, _op,
    ROW_NUMBER() OVER (PARTITION BY {{key}} ORDER BY version_at DESC, batch_id DESC, _op DESC) AS newest
  FROM {{table}}_batch
) AS ranked
WHERE newest = 1;

-- An older version never overwrites a newer one.
DELETE FROM {{table}}_latest USING stage.{{table}}
WHERE {{match}} AND {{table}}_latest.version_at < {{table}}.version_at;

DELETE FROM stage.{{table}} USING {{table}}_latest
WHERE {{match}} AND {{table}}_latest._op = 'D';

DELETE FROM {{table}}_latest WHERE _op = 'D';

MERGE INTO stage.{{table}} USING {{table}}_latest ON {{match}}
WHEN MATCHED THEN UPDATE SET {{assignments}}
WHEN NOT MATCHED THEN INSERT ({{columns}}, version_at, batch_id)
VALUES ({{latest_columns}}, {{table}}_latest.version_at, {{table}}_latest.batch_id);
