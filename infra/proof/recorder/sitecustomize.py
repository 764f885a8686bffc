"""Writes down which files the Python side of the jobs opens, in the driver and its workers (see record.ts)."""

import os
import sys
import time

RECORD = os.environ.get("SECURECART_RECORD")


def _note(event: str, arguments: tuple[object, ...]) -> None:
    lake = os.environ.get("SECURECART_LAKE_ROOT")
    if (
        event not in ("open", "os.scandir")
        or not lake
        or not arguments
        or not isinstance(arguments[0], str | os.PathLike)
    ):
        return
    path = os.fspath(arguments[0])
    if not isinstance(path, str) or not path.startswith(lake + "/"):
        return
    mode = arguments[1] if event == "open" else None
    writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
    operation = "py-list" if event == "os.scandir" else "py-create" if writes else "py-open"
    line = f"{int(time.time() * 1000)}\t{operation}\t{path.removesuffix('.tmp')}\n"
    descriptor = os.open(str(RECORD), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


if RECORD:
    sys.addaudithook(_note)
