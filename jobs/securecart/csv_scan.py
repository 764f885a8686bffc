"""A streaming CSV scanner that gives every record its line number and raw text, and a reason where it is bad.

Spark's reader hides what matters here: which line a record came from, that a quote was never closed, that a line is
too short or holds bytes of another encoding. It needs no more memory than a chunk and the longest record.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from securecart.csv_bytes import CHUNK_BYTES, Block, ObjectRefused, blocks, encoding_of_blocks
from securecart.csv_dialect import Dialect

if TYPE_CHECKING:
    import _csv

__all__ = ["Inspection", "ObjectRefused", "Record", "inspect", "scan"]

_DELIMITERS = (",", ";", "\t", "|")


class Record(NamedTuple):
    """One record of a file.

    ``position`` is the 1-based number of its first physical line; ``values`` are texts in the order of the
    contract's columns (None for a null, and all None when the record is bad); ``raw`` is the text as it came, without
    its last line end, bytes that cannot be decoded written as ``\\xNN``; ``error`` is a reason code or None.
    """

    position: int
    values: Sequence[str | None]
    raw: str
    error: str | None
    detail: str | None


class Inspection(NamedTuple):
    """What a look at a whole object found: physical lines, and a warning such as HEADER_ONLY."""

    lines: int
    warning: str | None


class _Line(NamedTuple):
    number: int
    text: str
    size: int
    bad: bool


def scan(
    stream: BinaryIO,
    dialect: Dialect,
    columns: Sequence[str],
    optional: frozenset[str] = frozenset(),
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Record]:
    """Reads a CSV stream, plain or gzip, record by record. Blank lines are no records.

    Args:
        stream: bytes from the first one; short reads are fine.
        dialect: how the file is written.
        columns: the source's names of the contract's columns, in the contract's order.
        optional: names that the header may lack, because the column was added later; they are read as None.
        chunk_bytes: how much to ask of the stream at a time.

    Raises:
        ObjectRefused: when no row of the object can be used (see ``csv_bytes.blocks``), or the header lacks a column
            (MISSING_COLUMNS) or has another (UNEXPECTED_COLUMNS). Rows may have been yielded before.
    """
    csv.field_size_limit(max(csv.field_size_limit(), dialect.max_line_bytes + 1))
    return _Scanner(dialect, columns, optional).records(blocks(stream, dialect, chunk_bytes))


def inspect(
    stream: BinaryIO,
    dialect: Dialect,
    columns: Sequence[str],
    optional: frozenset[str] = frozenset(),
    chunk_bytes: int = CHUNK_BYTES,
) -> Inspection:
    """Reads a stream to its end only to find out whether ``scan`` would refuse it; many times faster than ``scan``.

    Raises:
        ObjectRefused: as ``scan`` does.
    """
    lines = 0
    source = blocks(stream, dialect, chunk_bytes)

    def counted() -> Iterator[Block]:
        nonlocal lines
        for block in source:
            lines = block.line - 1 + len(block.data.splitlines())
            yield block

    watched = counted()
    # A first record proves the header; what follows only has to be readable.
    has_rows = next(_Scanner(dialect, columns, optional).records(watched), None) is not None
    for _ in watched:
        pass
    return Inspection(lines, None if has_rows else "HEADER_ONLY")


class _Scanner:
    """The state of one scan: the header's layout, once it is read."""

    def __init__(self, dialect: Dialect, columns: Sequence[str], optional: frozenset[str]) -> None:
        self.dialect = dialect
        self.columns = columns
        self.optional = optional
        self.encoding = encoding_of_blocks(dialect)
        self.nulls = frozenset(dialect.null_values)
        self.blank = (None,) * len(columns)
        #: Fields of a record, and where in them each column of the contract is (-1: nowhere).
        self.width = len(columns)
        self.indices = list(range(len(columns)))
        self.ready = not dialect.header

    def records(self, source: Iterator[Block]) -> Iterator[Record]:
        quote = self.dialect.quote.encode() if self.dialect.quote else None
        waiting: list[_Line] = []
        for block in source:
            if self.ready and not waiting and (quote is None or quote not in block.data):
                try:
                    text = block.data.decode(self.encoding)
                except UnicodeDecodeError:
                    pass  # the line that is to blame is found below
                else:
                    yield from self._plain(block.line, text)
                    continue
            waiting.extend(self._lines(block))
            used = yield from self._mixed(waiting, final=False)
            del waiting[:used]
        yield from self._mixed(waiting, final=True)

    def _plain(self, position: int, text: str) -> Iterator[Record]:
        """Records of a text without quotes and without bad bytes: every line is one. This is the hot loop."""
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        delimiter, width, nulls = self.dialect.delimiter, self.width, self.nulls
        possible = [n for n in nulls if n in text]
        in_order = self.indices == list(range(width))
        for line in text.split("\n"):
            if line:
                fields: list[str | None] = line.split(delimiter)  # type: ignore[assignment]
                if len(fields) != width:
                    yield self._wrong_width(position, len(fields), line)
                else:
                    for null in possible:
                        if null in fields:
                            fields = [None if f in nulls else f for f in fields]
                            break
                    yield Record(position, fields if in_order else self._arrange(fields), line, None, None)
            position += 1

    def _lines(self, block: Block) -> Iterator[_Line]:
        for number, data in enumerate(block.data.splitlines(keepends=True), block.line):
            try:
                yield _Line(number, data.decode(self.encoding), len(data), False)
            except UnicodeDecodeError:
                yield _Line(number, data.decode(self.encoding, "backslashreplace"), len(data), True)

    def _mixed(self, waiting: Sequence[_Line], final: bool) -> Generator[Record, None, int]:
        """Records of lines that may hold quotes or bad bytes; returns how many lines were used up.

        Unless ``final``, it stops before a record whose closing quote may be in lines still to come.
        """
        start = 0
        while start < len(waiting):
            line = waiting[start]
            if line.text.strip("\r\n") == "":
                start += 1
                continue
            parsed = self._parse(waiting, start, final)
            if parsed is None:
                break
            lines = waiting[start : start + parsed.lines]
            start += parsed.lines
            if self.ready:
                yield self._record(lines, parsed)
            else:
                self._read_header(line, parsed)
        return start

    def _parse(self, waiting: Sequence[_Line], start: int, final: bool) -> _Parsed | None:
        """The record that begins at a line; None when it needs lines that are still to come."""
        quote = self.dialect.quote
        line = waiting[start]
        if quote is None or quote not in line.text:
            return _Parsed(1, line.text.rstrip("\r\n").split(self.dialect.delimiter), None)
        exhausted = too_long = False

        def feed() -> Iterator[str]:
            nonlocal exhausted, too_long
            size = 0
            for i in range(start, len(waiting)):
                size += waiting[i].size
                if size > self.dialect.max_line_bytes and i > start:
                    too_long = True
                    return
                yield waiting[i].text
            exhausted = True

        reader = self._reader(feed())
        try:
            fields = next(reader)
        except csv.Error:
            if exhausted and not final:
                return None
            unclosed = exhausted or too_long
            detail = "a quote is opened and never closed" if unclosed else "there is text after a closing quote"
            return _Parsed(1, None, detail)
        # A stray quote may find its partner in a later line: where lines in between are whole records, it did.
        inner = waiting[start + 1 : start + reader.line_num]
        if len(fields) != self.width and any(self._is_record(other) for other in inner):
            return _Parsed(1, None, "a quote is opened and not closed before the next records")
        return _Parsed(reader.line_num, fields, None)

    def _is_record(self, line: _Line) -> bool:
        """Whether a line is a record by itself, with no quote left over."""
        if self.dialect.quote and line.text.count(self.dialect.quote) % 2:
            return False
        try:
            return self.width > 1 and len(next(self._reader(iter([line.text])))) == self.width
        except csv.Error:
            return False

    def _reader(self, lines: Iterator[str]) -> _csv.Reader:
        return csv.reader(
            lines, delimiter=self.dialect.delimiter, quotechar=self.dialect.quote, doublequote=True, strict=True
        )

    def _record(self, lines: Sequence[_Line], parsed: _Parsed) -> Record:
        position = lines[0].number
        raw = _without_end("".join(line.text for line in lines))
        if any(line.bad for line in lines):
            detail = f"the bytes written as \\xNN are no {self.dialect.encoding}"
            return Record(position, self.blank, raw, "BAD_ENCODING", detail)
        if parsed.fields is None:
            return Record(position, self.blank, raw, "UNBALANCED_QUOTE", parsed.fault)
        if len(parsed.fields) != self.width:
            return self._wrong_width(position, len(parsed.fields), raw)
        fields = [None if f in self.nulls else f for f in parsed.fields]
        return Record(position, self._arrange(fields), raw, None, None)

    def _wrong_width(self, position: int, found: int, raw: str) -> Record:
        error = "TRUNCATED_LINE" if found < self.width else "TOO_MANY_FIELDS"
        return Record(position, self.blank, raw, error, f"{found} fields where {self.width} are expected")

    def _arrange(self, fields: list[str | None]) -> Sequence[str | None]:
        fields = [*fields, None]
        return [fields[i] for i in self.indices]

    def _read_header(self, line: _Line, parsed: _Parsed) -> None:
        """Checks the header against the contract and notes where each column is."""
        text = _without_end(line.text)
        shown = text if len(text) <= 500 else f"{text[:500]} …"
        if parsed.fields is None:
            raise ObjectRefused(
                "MISSING_COLUMNS",
                line.number,
                f"the header cannot be read, {parsed.fault}: {shown}",
                f"It must name {', '.join(self.columns)}",
            )
        names = [f.strip() for f in parsed.fields]
        missing = [c for c in self.columns if c not in names and c not in self.optional]
        unexpected = [n or f"(no name, field {i})" for i, n in enumerate(names, 1) if n not in self.columns]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if missing:
            raise ObjectRefused(
                "MISSING_COLUMNS",
                line.number,
                f"the header lacks {', '.join(missing)}; it has {', '.join(names)}",
                self._delimiter_hint(text)
                or "Correct the file's header, or the contract's columns (customProperty sourceName)",
            )
        if unexpected or repeated:
            what = [f"names unknown to the contract: {', '.join(unexpected)}"] if unexpected else []
            what += [f"names more than once: {', '.join(repeated)}"] if repeated else []
            raise ObjectRefused(
                "UNEXPECTED_COLUMNS",
                line.number,
                f"the header has {'; '.join(what)}; the contract has {', '.join(self.columns)}",
                "Remove the columns from the file, or add them to the contract",
            )
        self.width = len(names)
        self.indices = [names.index(c) if c in names else -1 for c in self.columns]
        self.ready = True

    def _delimiter_hint(self, header: str) -> str | None:
        """A header that is one long name is mostly one with another delimiter."""
        if self.dialect.delimiter in header:
            return None
        likely = [d for d in _DELIMITERS if all(c in header.split(d) for c in self.columns[:1]) and d in header]
        if not likely:
            return None
        return f"Its fields look separated by {likely[0]!r}: set dialect.delimiter in the contract, or correct the file"


class _Parsed(NamedTuple):
    """A record's lines and fields; no fields, but the fault, where its quotes do not match."""

    lines: int
    fields: list[str] | None
    fault: str | None


def _without_end(text: str) -> str:
    for end in ("\r\n", "\n", "\r"):
        if text.endswith(end):
            return text[: -len(end)]
    return text
