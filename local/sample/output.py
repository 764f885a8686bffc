"""Where the sample is written: a folder that only the sample owns, or nowhere."""

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

MARKER = ".securecart-sample"


class Sink(Protocol):
    """What a writer needs of a file."""

    def write(self, data: bytes, /) -> int:
        """Takes bytes."""
        ...


class Nowhere:
    """Takes everything and keeps nothing: a later step draws the first step again without writing it."""

    def write(self, data: bytes, /) -> int:
        """Forgets the bytes."""
        return len(data)


class Output:
    """Opens files below a root; a text line is UTF-8 unless the defect is that it is not."""

    def __init__(self, root: Path, moved: dict[str, str] | None = None) -> None:
        """With `moved`, only the files it names are written, each to the path it gives."""
        self.root = root
        self._moved = moved
        self._open: list[BinaryIO] = []
        self._times: list[tuple[Path, int]] = []

    def open(self, path: str, modified: int | None = None) -> Sink:
        """A file to write; `modified` (epoch seconds) becomes its modification time when all is written."""
        if self._moved is not None:
            if path not in self._moved:
                return Nowhere()
            path = self._moved[path]
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("wb", buffering=1 << 18)
        self._open.append(file)
        if modified is not None:
            self._times.append((target, modified))
        return file

    def text(self, path: str, content: str, modified: int | None = None) -> None:
        """Writes a whole file."""
        self.open(path, modified).write(content.encode())

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            file.close()
        for path, modified in self._times:
            os.utime(path, (modified, modified))


def claim(root: Path) -> None:
    """Empties a folder that an earlier sample filled, or takes an empty one; anything else is refused."""
    if root.exists() and not root.is_dir():
        raise SystemExit(f"sample: {root} is a file; name a folder with --out")
    if (root / MARKER).exists():
        shutil.rmtree(root)
    elif root.exists() and any(root.iterdir()):
        raise SystemExit(f"sample: {root} holds files that are not a sample; name an empty or new folder with --out")
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).touch()
