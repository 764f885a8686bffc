"""Reads one CSV file in several ways, in turn; prints the best seconds of each as JSON lines ``{name, records, s}``."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from securecart.csv_dialect import Dialect
from securecart.csv_scan import inspect, scan


def main(file: Path, rounds: int) -> None:
    dialect = Dialect()
    with file.open(encoding="utf-8") as text:
        columns = next(csv.reader(text))

    def lines() -> int:
        with file.open("rb") as stream:
            return sum(1 for _ in stream) - 1

    def module() -> int:
        with file.open(encoding="utf-8", newline="") as text:
            return sum(1 for _ in csv.reader(text)) - 1

    def look() -> int:
        with file.open("rb") as stream:
            return inspect(stream, dialect, columns).lines - 1

    def records() -> int:
        with file.open("rb") as stream:
            return sum(1 for one in scan(stream, dialect, columns) if one.error is None)

    ways: dict[str, Callable[[], int]] = {
        "lines alone (Python)": lines,
        "csv module (Python)": module,
        "securecart inspect": look,
        "securecart scan": records,
    }
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            count = way()
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - began)
            # Raised, not asserted: a way that skips records would look fast.
            if count != (expected := lines()):
                raise SystemExit(f"{name} found {count} records of {expected}")
    for name, seconds in best.items():
        print(json.dumps({"name": name, "records": expected, "s": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
