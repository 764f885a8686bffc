"""The Spark session of a laptop: what Glue and EMR set up there, set up here.

``s3://<bucket>/…`` resolves to ``<lake>/<bucket>/…`` through Hadoop's ViewFileSystemOverloadScheme, so that jobs use
the same URIs in both places. The catalogs ``staging`` and ``curated`` are Hadoop catalogs here and the Glue catalog
on AWS (a Hadoop catalog's commits rely on atomic renames, which S3 has not).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

#: Bucket names of the local lake, by zone.
BUCKETS = {
    zone: f"securecart-local-{zone}" for zone in ("landing", "staging", "curated", "quarantine", "artifacts", "logs")
}

#: Both Iceberg catalogs use this database here; on AWS it carries the stack's name.
DATABASE = "lake"


#: Environment: the archive of classes that the set-up made, and where it wants a new one.
CLASS_ARCHIVE = "SECURECART_CLASS_ARCHIVE"
ARCHIVE_CLASSES = "SECURECART_ARCHIVE_CLASSES"


def _class_archive() -> list[str]:
    """Java's options for class data sharing. Without an archive, or with one that does not fit, Java does without."""
    if wanted := os.environ.get(ARCHIVE_CLASSES):
        return [f"-XX:ArchiveClassesAtExit={wanted}"]
    archive = os.environ.get(CLASS_ARCHIVE)
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"] if archive else []


def stop(session: SparkSession) -> None:
    """Stops Spark, and waits for Java when that has still to write an archive of its classes."""
    context: Any = session.sparkContext
    java = context._gateway.proc
    session.stop()
    if os.environ.get(ARCHIVE_CLASSES):
        context._gateway.shutdown()
        java.stdin.close()
        java.wait()


def local_session(lake: Path, scratch: Path, log_config: Path | None = None, short: bool = True) -> SparkSession:
    """Starts Spark on this machine's cores.

    Args:
        lake: folder with one folder per bucket; they are made when missing.
        scratch: folder for Spark's own temporary files.
        log_config: a log4j2 properties file.
        short: over before Java's optimising compiler has paid for itself, which is then left out.
    """
    for bucket in BUCKETS.values():
        (lake / bucket).mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    jars = [j for j in os.environ.get("SECURECART_JARS", "").split(",") if j]
    java = [
        "-Duser.timezone=UTC",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dderby.stream.error.file={scratch / 'derby.log'}",
        "-XX:+UseSerialGC",  # two cores: the parallel collectors only get in the way
        *(["-XX:TieredStopAtLevel=1"] if short else []),
        # With one compiler Java keeps 48 MB of compiled code. Spark fills them in minutes, and then compiles for ever.
        "-XX:ReservedCodeCacheSize=240m",
        *_class_archive(),
        *([f"-Dlog4j2.configurationFile={log_config.as_uri()}"] if log_config else []),
    ]
    settings: dict[str, str] = {
        "spark.master": "local[*]",
        "spark.driver.memory": os.environ.get("SECURECART_DRIVER_MEMORY", "2g"),
        "spark.driver.extraJavaOptions": " ".join(java),
        "spark.driver.extraClassPath": os.pathsep.join(jars),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(scratch),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.adaptive.enabled": "false",  # tables here are small: planning again costs more than it saves
        "spark.sql.autoBroadcastJoinThreshold": "32m",
        # A micro-batch generates some 300 classes, the same each time; Spark keeps 100, and would compile all again.
        "spark.sql.codegen.cache.maxEntries": "2000",
        "spark.sql.inMemoryColumnarStorage.compressed": "false",  # it looks at every value twice
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.sources.partitionOverwriteMode": "dynamic",
        "spark.scheduler.mode": "FAIR",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.viewfs.overload.scheme.target.s3.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    }
    for bucket in BUCKETS.values():
        mount = f"spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback"
        settings[mount] = (lake / bucket).resolve().as_uri()
    # Another class when a recording of what jobs do to files is made.
    if "SECURECART_LOCAL_FILE_SYSTEM" in os.environ:
        settings["spark.hadoop.fs.file.impl"] = os.environ["SECURECART_LOCAL_FILE_SYSTEM"]
    for zone in ("staging", "curated"):
        catalog = f"spark.sql.catalog.{zone}"
        settings[catalog] = "org.apache.iceberg.spark.SparkCatalog"
        settings[f"{catalog}.type"] = "hadoop"
        settings[f"{catalog}.warehouse"] = f"s3://{BUCKETS[zone]}/tables"
        settings[f"{catalog}.cache-enabled"] = "false"
    builder = SparkSession.builder.appName("securecart")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    _remember_classes(session)
    return session


#: Classes that pyspark asks the JVM for at every column expression.
_ASKED_FOR = ("Column", "PythonSQLUtils", "PythonUtils", "SparkSession", "SparkSession$", "functions", "org", "py4j")


def _remember_classes(session: SparkSession) -> None:
    """Keeps the JVM's answers to what pyspark asks again and again: some 7,000 questions in a run.

    Py4J keeps none. For each ``F.col`` Java looks for a class ``functions`` in eight packages, in vain in most of them,
    and each time it searches every jar.
    """
    jvm: Any = session.sparkContext._jvm
    for name in _ASKED_FOR:
        setattr(jvm, name, getattr(jvm, name))
