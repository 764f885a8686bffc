"""Builds the Python environment of jobs on EMR Serverless, for whose processor this machine need not be made.

It is a virtual environment without an interpreter: ``bin/python`` leads to the Python 3.11 that EMR 7 brings, and the
packages are wheels of the lock. The archive's bytes follow from its files: sorted, of one date, of nobody. Tests that
packages bring along are left out, a sixth of the size.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

#: Amazon Linux 2023, on which EMR 7 runs: its glibc is 2.34, and wheels of any older one run there.
NEWEST_GLIBC = 34
#: Where Amazon Linux keeps the interpreter.
INTERPRETER = "/usr/bin/python3.11"
SITE_PACKAGES = "lib/python3.11/site-packages"
COMPRESSION = 6


def platforms(machine: str) -> list[str]:
    """Tags of the wheels that run on EMR 7, by processor (``aarch64`` or ``x86_64``)."""
    return [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 16, -1)] + [f"manylinux2014_{machine}"]


def install(requirements: Path, machine: str, folder: Path) -> None:
    """Installs wheels for a machine into a folder. Raises CalledProcessError when one is missing or not as locked."""
    tags = [word for tag in platforms(machine) for word in ("--platform", tag)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    only = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11", *tags]
    subprocess.run([*pip, *only, "--target", str(folder), "--requirement", str(requirements)], check=True)


def files_of(folder: Path) -> list[tuple[str, Path]]:
    """Name in the archive and place of each file that belongs into the environment, sorted by name.

    pip's record and its commands are of the machine on which it ran, so they stay out.
    """
    found = []
    for file in folder.rglob("*"):
        place = file.relative_to(folder)
        ours = place.parts[0] != "bin" and "tests" not in place.parts[:-1] and place.name not in ("RECORD", "REQUESTED")
        if ours and file.is_file():
            found.append((f"{SITE_PACKAGES}/{place.as_posix()}", file))
    return sorted(found)


def pack(folder: Path, output: Path) -> None:
    """Writes the environment of the installed packages to a ``tar.gz``."""
    settings = f"home = {Path(INTERPRETER).parent}\ninclude-system-site-packages = false\nversion = 3.11\n".encode()
    with (
        output.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        python = tarfile.TarInfo("bin/python")
        python.type, python.linkname, python.mode = tarfile.SYMTYPE, INTERPRETER, 0o777
        archive.addfile(python)
        for name, file in files_of(folder):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = file.stat().st_size, 0o644
            with file.open("rb") as content:
                archive.addfile(entry, content)
        entry = tarfile.TarInfo("pyvenv.cfg")
        entry.size, entry.mode = len(settings), 0o644
        archive.addfile(entry, BytesIO(settings))


def main(argv: list[str]) -> None:
    """Arguments: ``--requirements`` (pip's, with hashes), ``--machine``, ``--output`` (the archive)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requirements", required=True, type=Path)
    parser.add_argument("--machine", required=True, choices=("aarch64", "x86_64"))
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="environment-"))
    try:
        install(options.requirements, options.machine, folder)
        pack(folder, options.output)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
