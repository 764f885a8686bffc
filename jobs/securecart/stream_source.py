"""Where a stream's records come from: a Kinesis stream on Glue, files of Kinesis-like records on a laptop.

Both adapters give a streaming DataFrame with ``data``, the record as UTF-8 text, and ``arrived_at``, when the stream
received it.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from securecart.errors import JobError

#: Glue's name for a record's text begins so; its end differs between releases.
_GLUE_TEXT = "$json$data_infer_schema$"


def kinesis(spark: SparkSession, stream_arn: str) -> DataFrame:
    """The records of a Kinesis stream, from the oldest that it still holds.

    The schema is left to be inferred because only so does Glue hand over the record's text itself: with a schema it
    parses, and what does not fit is lost to the quarantine.
    """
    from awsglue.context import GlueContext

    frame: DataFrame = GlueContext(spark.sparkContext).create_data_frame.from_options(
        connection_type="kinesis",
        connection_options={
            "streamARN": stream_arn,
            "startingPosition": "TRIM_HORIZON",
            "classification": "json",
            "inferSchema": "true",
            "addRecordTimestamp": "true",
            "emitConsumerLagMetrics": "true",
            "avoidEmptyBatches": "true",
        },
    )
    text = next((name for name in frame.columns if name.startswith(_GLUE_TEXT)), None)
    if text is None or "__src_timestamp" not in frame.columns:
        raise JobError(
            f"Glue's Kinesis source gives the columns {', '.join(frame.columns)}, but neither a record's text nor its "
            "time of arrival can be read from them. The job is written for Glue 5.1: check the job's Glue version."
        )
    return frame.select(
        F.col(f"`{text}`").alias("data"), F.col("__src_timestamp").cast("timestamp").alias("arrived_at")
    )


def files(spark: SparkSession, folder: str, files_a_batch: int | None) -> DataFrame:
    """Records from files of JSON lines as Kinesis' GetRecords gives them: ``Data`` in base64, and
    ``ApproximateArrivalTimestamp`` in seconds since 1970.

    Files are read in the order in which they were last modified, each once. A writer moves a finished file into the
    folder, under a name that begins with neither a dot nor an underscore.
    """
    reader = spark.readStream.format("text").option("recursiveFileLookup", "true")
    if files_a_batch is not None:
        reader = reader.option("maxFilesPerTrigger", str(files_a_batch))
    record = F.from_json("value", "Data STRING, ApproximateArrivalTimestamp DECIMAL(20,6)").alias("record")
    arrived = F.timestamp_micros((F.col("record.ApproximateArrivalTimestamp") * 1_000_000).cast("bigint"))
    return (
        reader.load(folder)
        .select("value", record)
        # A line that holds no record is shown as it is.
        .select(
            F.coalesce(F.decode(F.unbase64("record.Data"), "UTF-8"), "value").alias("data"), arrived.alias("arrived_at")
        )
    )
