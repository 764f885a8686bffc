"""How a contract says its CSV files are written: ``source.dialect``."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from securecart.errors import ContractError

#: Longest physical line, in bytes, when the contract names none.
DEFAULT_MAX_LINE_BYTES = 1 << 20

#: Python's names of the encodings whose bytes below 128 are ASCII, so that lines can be cut before decoding.
SINGLE_BYTE = ("iso8859-1", "iso8859-15", "cp1252", "ascii")
#: The Unicode ones; UTF-16 is rewritten as UTF-8 while it is read.
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")

_KEYS = {
    "delimiter",
    "quote",
    "encoding",
    "header",
    "nullValues",
    "maxLineBytes",
    # How numbers are written; the clean job reads these two.
    "decimalSeparator",
    "thousandsSeparator",
}


@dataclass(frozen=True)
class Dialect:
    """The writing of a CSV file. ``quote`` is None where quotes have no meaning; a quote inside a quoted field is
    doubled. ``null_values`` are the texts that stand for no value."""

    delimiter: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"
    header: bool = True
    null_values: tuple[str, ...] = ("",)
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES

    def __post_init__(self) -> None:
        for name, char in (("delimiter", self.delimiter), ("quote", self.quote)):
            if char is not None and (len(char) != 1 or not char.isascii() or char in "\r\n\0"):
                raise ContractError(
                    f"dialect.{name} is {char!r}: it must be one ASCII character, not a line end. "
                    "Correct it in the contract's source.dialect"
                )
        if self.delimiter == self.quote:
            raise ContractError(f"dialect.delimiter and dialect.quote are both {self.quote!r}: choose two characters")
        if self.max_line_bytes < 1:
            raise ContractError(f"dialect.maxLineBytes is {self.max_line_bytes}: it must be at least 1")
        try:
            codec = codecs.lookup(self.encoding).name
        except LookupError:
            codec = ""
        if codec not in SINGLE_BYTE and codec not in UNICODE:
            known = ", ".join([*UNICODE, *SINGLE_BYTE])
            raise ContractError(f"dialect.encoding '{self.encoding}' is not supported. Use one of: {known}")
        object.__setattr__(self, "encoding", codec)

    @classmethod
    def from_contract(cls, raw: Mapping[str, Any] | None) -> Dialect:
        """The ``source.dialect`` of a contract.

        Raises:
            ContractError: an unknown key or a value that cannot be used, with what is allowed.
        """
        raw = raw or {}
        if unknown := sorted(set(raw) - _KEYS):
            raise ContractError(
                f"source.dialect has the unknown key(s) {', '.join(unknown)}. Known: {', '.join(sorted(_KEYS))}"
            )
        return cls(
            delimiter=str(raw.get("delimiter", ",")),
            quote=str(quote) if (quote := raw.get("quote", '"')) else None,
            encoding=str(raw.get("encoding", "utf-8")),
            header=bool(raw.get("header", True)),
            null_values=tuple(str(v) for v in raw.get("nullValues", [""])),
            max_line_bytes=int(raw.get("maxLineBytes", DEFAULT_MAX_LINE_BYTES)),
        )
