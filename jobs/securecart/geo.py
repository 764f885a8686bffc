"""Country of an IP address from an offline MMDB database (``@ip-location-db/geo-whois-asn-country-mmdb``,
CC0).

The database is one file. On a laptop it lies in ``node_modules``; on AWS it is an object of the artifacts
bucket. Spark carries it to every executor.
"""

from __future__ import annotations

import ipaddress
from functools import cache
from pathlib import PurePosixPath

import maxminddb
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from securecart.errors import JobError

_REMEDY = (
    "Give --geo-database the path or s3:// address of geo-whois-asn-country.mmdb: on a laptop 'npm ci' puts it into "
    "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/, on AWS the deployment uploads it to the artifacts "
    "bucket."
)


def public_address(text: str | None) -> str | None:
    """The address in its shortest form, IPv4 inside IPv6 taken out; None when invalid or not on the public internet."""
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address) if address.is_global else None


@cache
def _reader(file: str) -> maxminddb.Reader:
    """The database, opened once per Python worker and mapped into memory, which the workers of a machine share.

    Read by the C extension where there is one: 1 microsecond an address instead of 9.
    """
    return maxminddb.open_database(file, maxminddb.MODE_AUTO)


def country_of(address: str | None, file: str) -> str | None:
    """ISO 3166-1 alpha-2 country of an address; None when it is private, invalid or not in the database."""
    public = public_address(address)
    record = _reader(file).get(public) if public is not None else None
    code = record.get("country_code") if isinstance(record, dict) else None
    return code if isinstance(code, str) and len(code) == 2 else None


def distribute(spark: SparkSession, database: str) -> str:
    """Has Spark carry the database to the executors; returns the name to look it up by.

    Args:
        database: a local path or a URI of a file system that Spark reads.

    Raises:
        JobError: when there is no such file or it is no MMDB database.
    """
    name = PurePosixPath(database).name
    try:
        spark.sparkContext.addFile(database)
        file = SparkFiles.get(name)
        _reader(file)
    # Py4J reports a file that Spark cannot reach as whatever the JVM threw.
    except Exception as error:
        raise JobError(
            f"the IP-to-country database '{database}' cannot be read ({_reason(error)}). {_REMEDY}"
        ) from error
    return name


def _reason(error: Exception) -> str:
    """The first line of what went wrong, without the JVM's stack."""
    java = getattr(error, "java_exception", None)
    return str(java.toString() if java is not None else error).splitlines()[0]


def countries(addresses: DataFrame, database: str) -> DataFrame:
    """Countries of IP addresses.

    Args:
        addresses: a column ip_address; repetitions and nulls are dropped before anything is looked up.
        database: see `distribute`.

    Returns:
        ip_address, ip_country (null when unknown), one row per distinct address.
    """
    name = distribute(addresses.sparkSession, database)
    look_up = F.udf(lambda address: country_of(address, SparkFiles.get(name)), T.StringType())
    distinct = addresses.select("ip_address").where(F.col("ip_address").isNotNull()).distinct()
    return distinct.withColumn("ip_country", look_up("ip_address"))
