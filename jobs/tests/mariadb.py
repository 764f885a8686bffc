"""A real MariaDB server for the extraction tests: in a folder of its own, on a free loopback port, with TLS.

It needs no rights beyond the user's. Its clock runs in another zone than UTC, because a server's zone must not matter.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

DATABASE = "shop"
USER = "etl"
PASSWORD = "only for this test"
TIME_ZONE = "+05:30"

_PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults", "openssl")
_SECONDS_TO_START = 60


def missing() -> str | None:
    """Why no server can be started here, with the remedy; None when one can."""
    absent = [name for name in _PROGRAMS if _program(name) is None]
    if not absent:
        return None
    return (
        f"MySQL EXTRACTION IS NOT TESTED: {', '.join(absent)} not found on this machine. "
        "Debian and Ubuntu: 'apt install mariadb-server-core mariadb-client-core openssl'; "
        "macOS: 'brew install mariadb openssl'."
    )


def _program(name: str) -> str | None:
    # Servers live in sbin, which is not on every user's path.
    return shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    )


@dataclass(frozen=True)
class MariaDb:
    """A running server."""

    port: int
    trust_store: Path

    def url(self, host: str = "localhost") -> str:
        """The JDBC URL without credentials. The server's certificate holds the name ``localhost`` and no other."""
        return (
            f"jdbc:mysql://{host}:{self.port}/{DATABASE}?trustCertificateKeyStoreUrl={self.trust_store.as_uri()}"
            "&trustCertificateKeyStorePassword=changeit"
        )

    @contextmanager
    def _connection(self, spark: SparkSession) -> Iterator[Any]:
        jvm: Any = spark.sparkContext._jvm
        jvm.java.lang.Class.forName("com.mysql.cj.jdbc.Driver")
        url = f"{self.url()}&sslMode=VERIFY_IDENTITY&allowLoadLocalInfile=true"
        with closing(jvm.java.sql.DriverManager.getConnection(url, USER, PASSWORD)) as connection:
            yield connection

    def execute(self, spark: SparkSession, statements: Sequence[str]) -> None:
        """Executes statements on one connection."""
        with self._connection(spark) as connection:
            statement = connection.createStatement()
            for sql in statements:
                statement.execute(sql)

    def rows(self, spark: SparkSession, sql: str) -> list[tuple[str | None, ...]]:
        """A query's rows, values as the server's text."""
        with self._connection(spark) as connection:
            found = connection.createStatement().executeQuery(sql)
            width = range(1, found.getMetaData().getColumnCount() + 1)
            rows = []
            while found.next():
                rows.append(tuple(found.getString(i) for i in width))
            return rows


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _certificate(folder: Path) -> Path:
    """Makes key.pem and cert.pem for ``localhost``. Returns a trust store that holds the certificate."""
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2")
    key, certificate, store = folder / "key.pem", folder / "cert.pem", folder / "trust.p12"
    request = (str(_program("openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject)
    _run(*request, "-keyout", str(key), "-out", str(certificate))
    importing = ("-importcert", "-noprompt", "-alias", "mariadb", "-file", str(certificate))
    _run("keytool", *importing, "-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit")
    return store


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        # The port opens before the set-up has run; this line comes after both.
        if "ready for connections" in log.read_text("utf-8", "replace"):
            return
        time.sleep(0.1)
    raise RuntimeError(f"mariadbd did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")


@contextmanager
def running_server(folder: Path) -> Iterator[MariaDb]:
    """Starts a server whose files all lie in ``folder``, and stops it at the end."""
    data, log = folder / "data", folder / "server.log"
    # As root, as in many containers, the server runs only when told so.
    user = ["--user=root"] if os.geteuid() == 0 else []
    root = "--auth-root-authentication-method=normal"
    _run(str(_program("mariadb-install-db")), "--no-defaults", f"--datadir={data}", root, "--skip-test-db", *user)
    setup = folder / "setup.sql"
    setup.write_text(
        f"create database {DATABASE} character set utf8mb4;\n"
        f"create user {USER}@'%' identified by '{PASSWORD}' require ssl;\n"
        f"grant all on {DATABASE}.* to {USER}@'%';\n",
        "utf-8",
    )
    trust_store = _certificate(folder)
    port = _free_port()
    command = [
        str(_program("mariadbd")),
        "--no-defaults",
        f"--datadir={data}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--socket=s",  # relative to the data, for a socket's path must be short
        f"--pid-file={folder / 'pid'}",
        f"--init-file={setup}",
        f"--ssl-cert={folder / 'cert.pem'}",
        f"--ssl-key={folder / 'key.pem'}",
        f"--default-time-zone={TIME_ZONE}",
        "--local-infile=1",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
        *user,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(process, log)
        yield MariaDb(port, trust_store)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
