"""npm run fraud:evaluate: the evaluation of `securecart.fraud.evaluate` in a Spark session of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from securecart.errors import JobError
from securecart.fraud import evaluate
from spark_session import local_session


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fraud-") as folder:
        spark = local_session(Path(folder) / "lake", Path(folder) / "scratch", short=False)
        spark.sparkContext.setLogLevel("ERROR")
        try:
            evaluate.main(sys.argv[1:], spark)
        except JobError as error:
            print(f"fraud:evaluate: {error}", file=sys.stderr)
            return 1
        finally:
            spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
