"""From an object's bytes to blocks of whole lines, in constant memory: gzip, byte-order marks, UTF-16, binary files
and lines without end are dealt with here, before any record is looked at."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Generator, Iterator
from typing import BinaryIO, NamedTuple

from securecart.csv_dialect import Dialect
from securecart.errors import JobError

#: Bytes asked of the stream at a time.
CHUNK_BYTES = 256 * 1024
#: The beginning of the text that tells text from binary, and the share of control characters that it may have.
_SNIFF_BYTES = 4096
_CONTROL_SHARE = 0.3
_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOT_CONTROL = bytes(b for b in range(256) if (b >= 32 and b != 127) or b in b"\t\n\r\f")


class ObjectRefused(JobError):  # noqa: N818 - a verdict on the file, not a failure of the job
    """An object of which no row can be used: what is wrong, at which physical line, and what to do."""

    def __init__(self, reason: str, line: int | None, detail: str, remedy: str) -> None:
        super().__init__(reason, line, detail, remedy)
        self.reason = reason
        self.line = line
        self.detail = detail
        self.remedy = remedy

    def __str__(self) -> str:
        where = f" at line {self.line}" if self.line else ""
        return f"{self.reason}{where}: {self.detail}. {self.remedy}."


class Block(NamedTuple):
    """Whole physical lines with their ends, in the encoding ``encoding_of_blocks`` names.

    ``line`` is the 1-based number of the first one. ``data`` is no larger than a chunk and a longest line.
    """

    line: int
    data: bytes


def encoding_of_blocks(dialect: Dialect) -> str:
    """The encoding of the blocks: the dialect's, or UTF-8 for all of Unicode."""
    return "utf-8" if dialect.encoding.startswith("utf-") else dialect.encoding


def blocks(stream: BinaryIO, dialect: Dialect, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Block]:
    """Cuts a stream, gzip or plain, into blocks of whole lines; only the last line of all may lack its end.

    Raises:
        ObjectRefused: EMPTY_FILE, BINARY_FILE, TRUNCATED_GZIP or LINE_TOO_LONG.
    """
    line = 1
    pending = bytearray()
    content = False
    text = _sniffed(_text(_decompressed(stream, chunk_bytes), dialect))
    while True:
        try:
            chunk = next(text, None)
        except ObjectRefused as refused:
            refused.line = refused.line or line + count_line_ends(pending)
            raise
        if chunk is None:
            break
        if (nul := chunk.find(b"\0")) >= 0:
            raise _binary(line + count_line_ends(pending + chunk[:nul]), "it contains NUL bytes")
        content = content or not chunk.isspace()
        searched = max(0, len(pending) - 1)
        pending += chunk
        # A carriage return at the very end may be half of a line end.
        cut = max(pending.rfind(b"\n", searched), pending.rfind(b"\r", searched, len(pending) - 1)) + 1
        if cut:
            line = yield from _block(line, bytes(pending[:cut]), dialect)
            del pending[:cut]
        if len(pending) > dialect.max_line_bytes:
            raise _line_too_long(line, dialect)
    if not content:
        raise ObjectRefused("EMPTY_FILE", None, "the file has no content", "Deliver the file again with its rows")
    if pending:
        yield from _block(line, bytes(pending), dialect)


def count_line_ends(data: bytes | bytearray) -> int:
    """How many of ``\\n``, ``\\r\\n`` and ``\\r`` end a line in data."""
    returns = data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else 0
    return data.count(b"\n") + returns


def _block(line: int, data: bytes, dialect: Dialect) -> Generator[Block, None, int]:
    """Yields the block and returns the number of the line after it."""
    if len(data) > dialect.max_line_bytes:
        for i, text in enumerate(data.splitlines()):
            if len(text) > dialect.max_line_bytes:
                raise _line_too_long(line + i, dialect)
    yield Block(line, data)
    return line + count_line_ends(data)


def _line_too_long(line: int, dialect: Dialect) -> ObjectRefused:
    return ObjectRefused(
        "LINE_TOO_LONG",
        line,
        f"the line is longer than {dialect.max_line_bytes} bytes, the most that the contract allows",
        "Check the file's line ends; if such lines are right, raise dialect.maxLineBytes in the contract",
    )


def _binary(line: int, detail: str) -> ObjectRefused:
    return ObjectRefused(
        "BINARY_FILE",
        line,
        f"this is no text: {detail}",
        "Deliver CSV text, or gzip of it, in the contract's encoding",
    )


def _bad_gzip(detail: str) -> ObjectRefused:
    return ObjectRefused("TRUNCATED_GZIP", None, detail, "Deliver the whole file again; nothing of it was loaded")


def _decompressed(stream: BinaryIO, chunk_bytes: int) -> Iterator[bytes]:
    """The stream's bytes, of all gzip members one after the other, at most a chunk at a time."""
    data = stream.read(chunk_bytes)
    while len(data) == 1 and (more := stream.read(chunk_bytes)):
        data += more
    if not data.startswith(_GZIP_MAGIC):
        while data:
            yield data
            data = stream.read(chunk_bytes)
        return
    member = None
    while True:
        if member is None:
            data = data.lstrip(b"\0") or stream.read(chunk_bytes)  # writers may pad between members with zeros
            if not data:
                return
            if not data.strip(b"\0"):
                continue
            member = zlib.decompressobj(wbits=31)
        try:
            # The limit keeps memory constant whatever a few bytes expand to.
            out = member.decompress(data, chunk_bytes)
        except zlib.error as error:
            raise _bad_gzip(f"the gzip stream is damaged ({error})") from error
        if out:
            yield out
        if member.eof:
            data, member = member.unused_data, None
        else:
            data = member.unconsumed_tail or stream.read(chunk_bytes)
            if not data:
                raise _bad_gzip("the gzip stream ends before its end marker: the file was cut off")


def _text(chunks: Iterator[bytes], dialect: Dialect) -> Iterator[bytes]:
    """The bytes without byte-order mark; UTF-16 is rewritten as UTF-8."""
    head = _take(chunks, 3)
    if dialect.encoding.startswith("utf-16"):
        yield from _utf16_as_utf8(_chain(head, chunks), dialect.encoding)
        return
    if head.startswith(_UTF16_MARKS):
        raise ObjectRefused(
            "BINARY_FILE",
            1,
            f"the file begins with the byte-order mark of UTF-16, but the contract says {dialect.encoding}",
            "Deliver the file in the contract's encoding, or set dialect.encoding: UTF-16 in the contract",
        )
    if encoding_of_blocks(dialect) == "utf-8":
        head = head.removeprefix(codecs.BOM_UTF8)
    yield from _chain(head, chunks)


def _utf16_as_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """UTF-16 as UTF-8. Half a surrogate pair becomes bytes that are no UTF-8, so that its line is found bad."""
    pending = _take(chunks, 2)
    if encoding == "utf-16":
        if pending and not pending.startswith(_UTF16_MARKS):
            raise ObjectRefused(
                "BINARY_FILE",
                1,
                "the contract says UTF-16, but the file does not begin with a byte-order mark",
                "Deliver the file with one, or set dialect.encoding in the contract to what the file is",
            )
        encoding = "utf-16-le" if pending.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else codecs.BOM_UTF16_BE
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in _chain(pending.removeprefix(mark), chunks):
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end


def _sniffed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Passes text on and refuses what looks like no text at its beginning."""
    held: list[bytes] = []
    while sum(map(len, held)) < _SNIFF_BYTES and (chunk := next(chunks, None)) is not None:
        held.append(chunk)
    head = b"".join(held)[:_SNIFF_BYTES]
    control = len(head.translate(None, _NOT_CONTROL))
    if control > _CONTROL_SHARE * len(head):
        raise _binary(1, f"{control} of its first {len(head)} bytes are control characters")
    yield from held
    yield from chunks


def _take(chunks: Iterator[bytes], count: int) -> bytes:
    """At least this many bytes, unless there are fewer."""
    head = b""
    while len(head) < count and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest
