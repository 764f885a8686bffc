-- Replaces whole values of {{by}} in stage.{{table}}: a batch brings every row of each value it touches, and a row
-- with _op 'D' for a value that has no rows any more. One transaction; running it again changes nothing.

CREATE TEMP TABLE {{table}}_batch (
  {{column_definitions}},
  version_at TIMESTAMP,
  batch_id VARCHAR(64),
  _op CHAR(1)
);

COPY {{table}}_batch FROM '{{path}}' IAM_ROLE default FORMAT AS PARQUET;

CREATE TEMP TABLE {{table}}_touched AS
SELECT {{by}}, MAX(version_at) AS version_at FROM {{table}}_batch GROUP BY {{by}};

-- What an older batch says of a value never overwrites what a newer one said.
CREATE TEMP TABLE {{table}}_held AS
SELECT {{by}}, MAX(version_at) AS version_at FROM stage.{{table}} GROUP BY {{by}};

DELETE FROM {{table}}_touched USING {{table}}_held
WHERE {{table}}_touched.{{by}} = {{table}}_held.{{by}} AND {{table}}_touched.version_at < {{table}}_held.version_at;

DELETE FROM stage.{{table}} USING {{table}}_touched
WHERE {{table}}.{{by}} = {{table}}_touched.{{by}};

INSERT INTO stage.{{table}} ({{columns}}, version_at, batch_id)
SELECT {{columns}}, version_at, batch_id
FROM (
  SELECT {{batch_columns}}, {{table}}_batch.version_at, {{table}}_batch.batch_id,
    ROW_NUMBER() OVER (PARTITION BY {{batch_key}} ORDER BY {{table}}_batch.version_at DESC) AS newest
  FROM {{table}}_batch
  JOIN {{table}}_touched ON {{table}}_batch.{{by}} = {{table}}_touched.{{by}}
  WHERE {{table}}_batch._op <> 'D'
) AS ranked
WHERE newest = 1;
