import * as pulumi from "@pulumi/pulumi";

/**
 * What a Spark session of the lake is started with: Iceberg's extensions, a catalog a zone, and how types and times are
 * read. Spark reads some of it when its JVM starts, so it cannot be given later.
 */
export function lakeSettings(
  bucketNames: Readonly<Record<"staging" | "curated", pulumi.Input<string>>>,
): pulumi.Output<Record<string, string>> {
  const catalog = (zone: "staging" | "curated"): Record<string, pulumi.Input<string>> => ({
    [`spark.sql.catalog.${zone}`]: "org.apache.iceberg.spark.SparkCatalog",
    [`spark.sql.catalog.${zone}.type`]: "glue",
    [`spark.sql.catalog.${zone}.warehouse`]: pulumi.interpolate`s3://${bucketNames[zone]}/tables`,
    [`spark.sql.catalog.${zone}.io-impl`]: "org.apache.iceberg.aws.s3.S3FileIO",
  });
  const settings: Record<string, pulumi.Input<string>> = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    ...catalog("staging"),
    ...catalog("curated"),
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
    // A micro-batch of the clickstream generates some 300 classes, the same each time; Spark keeps 100.
    "spark.sql.codegen.cache.maxEntries": "2000",
  };
  return pulumi.output(settings);
}
