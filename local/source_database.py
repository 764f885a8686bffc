"""The laptop's stand-in for SecureCart's MySQL: Apache Derby, which ships inside pyspark, read over JDBC.

The extraction job reads both through the same code; that it also works with MySQL's own driver and protocol is shown
by a test against a real MariaDB.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from securecart.errors import JobError


def statements(script: str) -> list[str]:
    """A SQL script's statements: split at semicolons at the end of a line, comments left out."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    parts = "\n".join(lines).split(";\n")
    return [part.strip().rstrip(";") for part in parts if part.strip().rstrip(";")]


class SourceDatabase:
    """A Derby database in a folder, opened in the driver's JVM on first use."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        self.url = f"jdbc:derby:{folder / 'derby'};create=true"

    @property
    def _drivers(self) -> Any:
        jvm: Any = self.spark.sparkContext._jvm
        jvm.java.lang.Class.forName("org.apache.derby.jdbc.EmbeddedDriver")
        return jvm.java.sql.DriverManager

    def _execute(self, sql: list[str]) -> None:
        connection = self._drivers.getConnection(self.url)
        try:
            connection.setAutoCommit(False)
            statement = connection.createStatement()
            for text in sql:
                statement.execute(text)
            connection.commit()
        finally:
            connection.rollback()
            connection.close()

    def _first(self, sql: str) -> Any:
        connection = self._drivers.getConnection(self.url)
        try:
            rows = connection.createStatement().executeQuery(sql)
            return rows.getString(1) if rows.next() else None
        finally:
            connection.close()

    def load(self, schema: str, tables: dict[str, str]) -> None:
        """Makes the tables of a schema script and fills each from its CSV file (one header line).

        Args:
            schema: path of the script with CREATE TABLE statements.
            tables: path of the CSV file by table name.
        """
        imports = [
            f"CALL SYSCS_UTIL.SYSCS_IMPORT_TABLE_BULK(NULL, '{table.upper()}', '{file}', ',', '\"', 'UTF-8', 0, 1)"
            for table, file in tables.items()
        ]
        self._execute([*statements(Path(schema).read_text("utf-8")), *imports])

    def execute_script(self, script: str) -> None:
        """Executes a script of statements in one transaction."""
        self._execute(statements(Path(script).read_text("utf-8")))

    def now(self) -> datetime:
        """The database's clock, UTC."""
        found = self._first("VALUES CURRENT_TIMESTAMP")
        if found is None:
            raise JobError(f"the source database in {self.folder} gives no time")
        return datetime.fromisoformat(found).replace(tzinfo=UTC)

    def has_changes(self, table: str, column: str, since: str) -> bool:
        """True when a row's watermark lies after ``since`` (ISO, UTC)."""
        time = datetime.fromisoformat(since).astimezone(UTC).replace(tzinfo=None)
        bound = f"TIMESTAMP('{time.isoformat(sep=' ', timespec='microseconds')}')"
        return int(self._first(f"SELECT COUNT(*) FROM {table} WHERE {column} > {bound}") or 0) > 0

    def close(self) -> None:
        """Shuts the database down in good order; Derby reports that as an exception with state 08006."""
        if not (self.folder / "derby").exists():
            return
        try:
            self._drivers.getConnection(f"jdbc:derby:{self.folder / 'derby'};shutdown=true")
        except Exception as error:
            if "08006" not in str(error) and "shutdown" not in str(error):
                raise
