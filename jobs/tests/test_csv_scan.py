"""The scanner against hand-written cases, and against csv.writer and random bytes."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from securecart.csv_dialect import Dialect
from securecart.csv_scan import ObjectRefused, Record, inspect, scan
from securecart.errors import ContractError

ABC = ("a", "b", "c")
PLAIN = Dialect(null_values=())


def read(data: bytes, dialect: Dialect = PLAIN, columns: Sequence[str] = ABC, **more: object) -> list[Record]:
    return list(scan(io.BytesIO(data), dialect, columns, **more))  # type: ignore[arg-type]


def refusal(data: bytes, dialect: Dialect = PLAIN, columns: Sequence[str] = ABC) -> ObjectRefused:
    """The refusal, which the full scan and the quick look must agree on."""
    with pytest.raises(ObjectRefused) as by_scan:
        read(data, dialect, columns)
    with pytest.raises(ObjectRefused) as by_look:
        inspect(io.BytesIO(data), dialect, columns)
    assert str(by_look.value) == str(by_scan.value)
    return by_scan.value


class Slow:
    """A stream that gives out bytes in portions of its own choice, as a network does."""

    def __init__(self, data: bytes, sizes: Sequence[int]) -> None:
        self.data = io.BytesIO(data)
        self.sizes = iter(sizes)

    def read(self, size: int) -> bytes:
        return self.data.read(min(size, next(self.sizes, size)))


class TestObjects:
    def test_rows_by_name_and_with_line_numbers(self) -> None:
        records = read(b"c,a,b\r\n3,1,2\n\n6,4,5\r9,7,8")
        assert [(r.position, r.values, r.raw, r.error) for r in records] == [
            (2, ["1", "2", "3"], "3,1,2", None),
            (4, ["4", "5", "6"], "6,4,5", None),
            (5, ["7", "8", "9"], "9,7,8", None),
        ]

    def test_nulls_are_the_contracts_texts_and_nothing_else(self) -> None:
        dialect = Dialect(null_values=("", "NULL"))
        values = [r.values for r in read(b'a,b,c\n1,,NULL\n"",null," "\nNULLS,"NULL",3\n', dialect)]
        assert values == [["1", None, None], [None, "null", " "], ["NULLS", None, "3"]]

    def test_without_a_header_columns_go_by_place(self) -> None:
        assert [r.values for r in read(b"1,2,3\n", Dialect(header=False))] == [["1", "2", "3"]]

    def test_other_dialects(self) -> None:
        dialect = Dialect(delimiter=";", quote="'", null_values=())
        assert [r.values for r in read(b"a;b;c\n1,5;'x;''y''';\"\n", dialect)] == [["1,5", "x;'y'", '"']]

    def test_quotes_mean_nothing_where_the_contract_has_none(self) -> None:
        assert [r.values for r in read(b'a,b,c\n"1,2",3\n', Dialect(quote=None))] == [['"1', '2"', "3"]]

    def test_quoted_line_ends_belong_to_the_value(self) -> None:
        records = read(b'a,b,c\n1,"x\r\ny\rz\n",3\n4,5,6\n')
        assert [(r.position, r.values, r.raw) for r in records] == [
            (2, ["1", "x\r\ny\rz\n", "3"], '1,"x\r\ny\rz\n",3'),
            (6, ["4", "5", "6"], "4,5,6"),
        ]

    @pytest.mark.parametrize(
        ("encoding", "mark"),
        [("utf-8", b"\xef\xbb\xbf"), ("utf-8", b""), ("utf-16", b"\xff\xfe"), ("utf-16", b"\xfe\xff"), ("cp1252", b"")],
    )
    def test_encodings_and_byte_order_marks(self, encoding: str, mark: bytes) -> None:
        codec = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(mark, encoding)
        data = mark + "a,b,c\nMüller,€,é\n".encode(codec)
        assert [r.values for r in read(data, Dialect(encoding=encoding))] == [["Müller", "€", "é"]]

    def test_gzip_by_its_content_even_in_several_members(self) -> None:
        data = gzip.compress(b"a,b,c\n1,2,") + gzip.compress(b"3\n") + b"\0\0"
        assert [r.values for r in read(data)] == [["1", "2", "3"]]

    def test_gzip_in_small_portions(self) -> None:
        stream = cast(BinaryIO, Slow(gzip.compress(b"a,b,c\n1,2,3\n"), [1] * 99))
        assert [r.values for r in scan(stream, PLAIN, ABC)] == [["1", "2", "3"]]

    def test_a_quoted_value_goes_on_over_portions_without_quotes(self) -> None:
        data = b'a,b,c\n1,"x\n4,5,6\n7,8,9\n",3\n'
        values = [r.values for r in read(data, chunk_bytes=6)]
        assert values == [["1", "x\n4,5,6\n7,8,9\n", "3"]]

    def test_a_carriage_return_at_the_end_of_a_portion_ends_its_line(self) -> None:
        dialect = Dialect(header=False, max_line_bytes=30)
        data = b"1,2," + b"3" * 20 + b"\r" + b"4,5," + b"6" * 20 + b"\r"
        assert [r.position for r in read(data, dialect, chunk_bytes=25)] == [1, 2]

    def test_spaces_around_a_columns_name_do_not_matter(self) -> None:
        assert [r.values for r in read(b" b , a,c\n1, 2,3\n")] == [[" 2", "1", "3"]]

    def test_columns_added_later_are_null_in_old_files(self) -> None:
        records = read(b"b,a\n2,1\n", optional=frozenset({"c"}))
        assert [r.values for r in records] == [["1", "2", None]]
        assert [r.error for r in read(b"b,a\n2,1,3\n", optional=frozenset({"c"}))] == ["TOO_MANY_FIELDS"]

    def test_header_only_is_no_refusal_but_a_warning(self) -> None:
        assert read(b"a,b,c\n\n") == []
        assert inspect(io.BytesIO(b"a,b,c\n\n"), PLAIN, ABC) == (2, "HEADER_ONLY")
        assert inspect(io.BytesIO(b"a,b,c\n1,2,3\nx"), PLAIN, ABC) == (3, None)


class TestRefusals:
    """Every case of a file that cannot be used says what is wrong, where, and what to do."""

    @pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\r\n  \n", gzip.compress(b"")])
    def test_empty(self, data: bytes) -> None:
        assert str(refusal(data, Dialect(header=False) if data.strip() == b"" and data else PLAIN)) == (
            "EMPTY_FILE: the file has no content. Deliver the file again with its rows."
        )

    def test_missing_column(self) -> None:
        assert str(refusal(b"a,C\n1,2\n")) == (
            "MISSING_COLUMNS at line 1: the header lacks b, c; it has a, C. "
            "Correct the file's header, or the contract's columns (customProperty sourceName)."
        )

    def test_other_delimiter(self) -> None:
        assert str(refusal(b"a;b;c\n1;2;3\n")) == (
            "MISSING_COLUMNS at line 1: the header lacks a, b, c; it has a;b;c. Its fields look separated by ';': "
            "set dialect.delimiter in the contract, or correct the file."
        )

    def test_extra_column(self) -> None:
        assert str(refusal(b"\na,b,c,d,\n1,2,3,4,\n")) == (
            "UNEXPECTED_COLUMNS at line 2: the header has names unknown to the contract: d, (no name, field 5); "
            "the contract has a, b, c. Remove the columns from the file, or add them to the contract."
        )

    def test_repeated_column(self) -> None:
        refused = refusal(b"a,b,c,b\n1,2,3,4\n")
        assert (refused.reason, refused.detail) == (
            "UNEXPECTED_COLUMNS",
            "the header has names more than once: b; the contract has a, b, c",
        )

    def test_header_with_open_quote(self) -> None:
        refused = refusal(b'a,"b,c\n1,2,3\n')
        assert (refused.reason, refused.line) == ("MISSING_COLUMNS", 1)
        assert refused.detail == 'the header cannot be read, a quote is opened and never closed: a,"b,c'

    def test_nul_bytes(self) -> None:
        assert str(refusal(b"a,b,c\n1,2,3\r4,\x00,6\n")) == (
            "BINARY_FILE at line 3: this is no text: it contains NUL bytes. "
            "Deliver CSV text, or gzip of it, in the contract's encoding."
        )

    def test_control_characters(self) -> None:
        refused = refusal(b"\x89PNG\r\n\x1a\n" + bytes(range(1, 32)) * 9)
        assert refused.detail == "this is no text: 244 of its first 287 bytes are control characters"

    def test_utf16_where_utf8_is_agreed(self) -> None:
        refused = refusal("a,b,c\n1,2,3\n".encode("utf-16"))
        assert refused.reason == "BINARY_FILE"
        assert "byte-order mark of UTF-16, but the contract says utf-8" in refused.detail
        assert "dialect.encoding: UTF-16" in refused.remedy

    def test_utf16_without_mark(self) -> None:
        refused = refusal("a,b,c\n".encode("utf-16-le"), Dialect(encoding="utf-16"))
        assert "does not begin with a byte-order mark" in refused.detail

    @pytest.mark.parametrize(("cut", "at_least"), [(3, 1), (20, 1), (9_000, 1_000), (-9, 9_000), (-1, 9_000)])
    def test_gzip_cut_off(self, cut: int, at_least: int) -> None:
        rows = b"".join(b"%d,%d,%d\n" % (i, i * 7, i * 13) for i in range(9_000))
        refused = refusal(gzip.compress(b"a,b,c\n" + rows)[:cut])
        assert refused.reason == "TRUNCATED_GZIP"
        assert refused.detail == "the gzip stream ends before its end marker: the file was cut off"
        assert refused.remedy == "Deliver the whole file again; nothing of it was loaded"
        assert refused.line is not None
        assert at_least <= refused.line <= 9_002

    def test_gzip_damaged(self) -> None:
        data = bytearray(gzip.compress(b"a,b,c\n1,2,3\n"))
        data[-6] ^= 0xFF
        assert "incorrect data check" in refusal(bytes(data)).detail
        assert refusal(gzip.compress(b"a,b,c\n") + b"trailing").reason == "TRUNCATED_GZIP"

    def test_200_megabytes_on_one_line_take_no_memory(self) -> None:
        class Endless(io.RawIOBase):
            given = 0

            def read(self, size: int = -1) -> bytes:
                Endless.given += size
                return b"x" * size if Endless.given < 200 << 20 else b""

        dialect = Dialect()
        tracemalloc.start()
        try:
            with pytest.raises(ObjectRefused) as refused:
                list(scan(cast(BinaryIO, Endless()), dialect, ABC))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert str(refused.value) == (
            "LINE_TOO_LONG at line 1: the line is longer than 1048576 bytes, the most that the contract allows. "
            "Check the file's line ends; if such lines are right, raise dialect.maxLineBytes in the contract."
        )
        assert Endless.given <= dialect.max_line_bytes + 2 * 256 * 1024
        assert peak < 5 << 20

    def test_a_gzip_bomb_takes_no_memory(self) -> None:
        data = gzip.compress(b"a,b,c\n" + b"x" * (50 << 20))
        tracemalloc.start()
        try:
            refused = refusal(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (refused.reason, refused.line) == ("LINE_TOO_LONG", 2)
        assert peak < 8 << 20

    def test_long_line_inside_a_chunk(self) -> None:
        refused = refusal(b"a,b,c\n1,2,3\n1,2," + b"3" * 60 + b"\n4,5,6\n", Dialect(max_line_bytes=50))
        assert (refused.reason, refused.line) == ("LINE_TOO_LONG", 3)


class TestBadRecords:
    def rest_is_good(self, records: list[Record], bad: int, error: str) -> Record:
        assert [r.error for r in records if r.position != bad] == [None] * (len(records) - 1)
        found = next(r for r in records if r.position == bad)
        assert found.error == error
        assert list(found.values) == [None] * 3
        return found

    def test_truncated_line(self) -> None:
        records = read(b"a,b,c\n1,2,3\n4,5\n7,8,9\n")
        found = self.rest_is_good(records, 3, "TRUNCATED_LINE")
        assert (found.raw, found.detail) == ("4,5", "2 fields where 3 are expected")

    def test_too_many_fields(self) -> None:
        found = self.rest_is_good(read(b'a,b,c\n1,2,3\n4,5,6,"7"\n'), 3, "TOO_MANY_FIELDS")
        assert found.raw == '4,5,6,"7"'

    def test_bytes_of_another_encoding(self) -> None:
        found = self.rest_is_good(read("a,b,c\n1,é,3\nM".encode() + b"\xfcller,2,3\n7,8,9\n"), 3, "BAD_ENCODING")
        assert (found.raw, found.detail) == ("M\\xfcller,2,3", "the bytes written as \\xNN are no utf-8")

    def test_bad_bytes_inside_a_quoted_value_of_two_lines(self) -> None:
        records = read(b'a,b,c\n1,"x\ny\xff",3\n4,5,6\n')
        assert [(r.position, r.error, r.raw) for r in records] == [
            (2, "BAD_ENCODING", '1,"x\ny\\xff",3'),
            (4, None, "4,5,6"),
        ]

    @pytest.mark.parametrize("surrogate", [b"\x00\xd8", b"\x00\xdc"])
    def test_half_a_surrogate_pair(self, surrogate: bytes) -> None:
        data = b"\xff\xfe" + "a,b,c\n1,2,".encode("utf-16-le") + surrogate + "\n4,5,6\n".encode("utf-16-le")
        self.rest_is_good(read(data, Dialect(encoding="utf-16")), 2, "BAD_ENCODING")

    def test_half_a_character_at_the_end(self) -> None:
        data = "a,b,c\n1,2,3\n4,5,6".encode("utf-16") + b"\x31"
        self.rest_is_good(read(data, Dialect(encoding="utf-16")), 3, "BAD_ENCODING")

    def test_an_open_quote_does_not_swallow_the_file(self) -> None:
        rows = b"".join(b"%d,x,y\n" % i for i in range(4, 90_000))
        records = read(b'a,b,c\n1,"2,3\n' + rows)
        found = self.rest_is_good(records, 2, "UNBALANCED_QUOTE")
        assert (found.raw, found.detail) == ('1,"2,3', "a quote is opened and never closed")
        assert len(records) == 1 + 90_000 - 4

    def test_an_open_quote_that_finds_its_partner_far_below(self) -> None:
        records = read(b'a,b,c\n1,"2,3\n4,5,6\n7,8,9"\n1,2,3\n')
        assert [(r.position, r.error) for r in records] == [
            (2, "UNBALANCED_QUOTE"),
            (3, None),
            (4, None),
            (5, None),
        ]

    def test_a_quoted_value_of_two_lines_with_too_many_fields_is_one_bad_record(self) -> None:
        records = read(b'a,b,c\n1,"x\ny",3,4\n1,2,3\n')
        assert [(r.position, r.error) for r in records] == [(2, "TOO_MANY_FIELDS"), (4, None)]

    def test_a_record_is_no_longer_than_a_line_may_be(self) -> None:
        dialect = Dialect(max_line_bytes=30)
        assert [r.error for r in read(b'a,b,c\n1,"' + b"x\n" * 11 + b'",3\n', dialect)] == [None]
        records = read(b'a,b,c\n1,"' + b"x\n" * 14 + b'",3\n4,5,6\n', dialect)
        assert (records[0].error, records[0].raw) == ("UNBALANCED_QUOTE", '1,"x')
        assert records[0].detail == "a quote is opened and never closed"
        assert (records[-1].position, records[-1].error) == (17, None)

    def test_text_after_a_closing_quote(self) -> None:
        found = self.rest_is_good(read(b'a,b,c\n1,"2"x,3\n4,"5",6\n'), 2, "UNBALANCED_QUOTE")
        assert found.detail == "there is text after a closing quote"

    def test_open_quote_on_the_last_line(self) -> None:
        self.rest_is_good(read(b'a,b,c\n1,2,3\n4,5,"6'), 3, "UNBALANCED_QUOTE")


class TestDialect:
    def test_from_a_contract(self) -> None:
        assert Dialect.from_contract(None) == Dialect()
        raw = {"delimiter": ";", "quote": "", "encoding": "Windows-1252", "nullValues": ["-"], "decimalSeparator": ","}
        assert Dialect.from_contract(raw) == Dialect(";", None, "cp1252", True, ("-",))

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            ({"seperator": ";"}, r"unknown key\(s\) seperator\. Known: decimalSeparator, delimiter"),
            ({"delimiter": "||"}, r"dialect\.delimiter is '\|\|': it must be one ASCII character"),
            ({"quote": ","}, "are both ',': choose two characters"),
            ({"encoding": "klingon"}, "encoding 'klingon' is not supported. Use one of: utf-8"),
            ({"encoding": "utf-7"}, "encoding 'utf-7' is not supported"),
            ({"maxLineBytes": 0}, "maxLineBytes is 0: it must be at least 1"),
        ],
    )
    def test_refused(self, raw: dict[str, object], message: str) -> None:
        with pytest.raises(ContractError, match=message):
            Dialect.from_contract(raw)


VALUES = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from('",;\'"\t\r\n'), max_size=12)
TABLES = st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=8)
LINE_ENDS = st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=4)
QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE])


def written(table: list[list[str]], quoting: int, delimiter: str, line_ends: list[str]) -> Iterator[tuple[str, str]]:
    """Each row of the table, with the header first, as csv.writer writes it, and its line end."""
    for i, row in enumerate([list(ABC), *table]):
        out = io.StringIO()
        csv.writer(out, quoting=quoting, delimiter=delimiter, lineterminator="\r\n").writerow(row)  # type: ignore[arg-type]
        yield out.getvalue().removesuffix("\r\n"), line_ends[i % len(line_ends)]


@given(TABLES, QUOTING, st.sampled_from(",;\t"), LINE_ENDS, st.sampled_from(["utf-8", "utf-16"]), st.integers(1, 70))
def test_what_csv_writer_writes_is_read_back(
    table: list[list[str]], quoting: int, delimiter: str, line_ends: list[str], encoding: str, chunk: int
) -> None:
    if quoting == csv.QUOTE_NONE:  # which cannot write these
        table = [[v.translate(dict.fromkeys(map(ord, "\",;'\t\r\n"))) for v in row] for row in table]
    rows = list(written(table, quoting, delimiter, line_ends))
    data = "".join(text + end for text, end in rows).encode(encoding)
    dialect = Dialect(delimiter=delimiter, encoding=encoding, null_values=())

    records = list(scan(io.BytesIO(data), dialect, ABC, chunk_bytes=chunk))

    assert [list(r.values) for r in records] == table
    assert [r.raw for r in records] == [text for text, _ in rows[1:]]
    assert all(r.error is None for r in records)
    position = 2
    for record, (text, _) in zip(records, rows[1:], strict=True):
        assert record.position == position
        position += 1 + len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1


SCRAPS = st.sampled_from([b"a,b,c\n", b",", b'"', b"\n", b"\r", b'""', b"\xff", b"1", b"x,y,z\n", b"\x00", b"\xc3\xa9"])
FILES = st.lists(SCRAPS | st.binary(max_size=6), max_size=40).map(b"".join)


@given(FILES, st.booleans(), st.lists(st.integers(1, 9), max_size=30), st.integers(1, 40))
@example(b'a,b,c\n1,"2\n"\n\r\r\n4,5,6', True, [1] * 30, 3)
@example(b"\x1f", False, [1], 1)
def test_random_bytes_and_random_portions(data: bytes, header: bool, portions: list[int], chunk: int) -> None:
    dialect = Dialect(header=header, null_values=(), encoding="latin-1", max_line_bytes=30)

    def outcome(stream: BinaryIO, chunk_bytes: int) -> list[Record] | None:
        try:
            return list(scan(stream, dialect, ABC, chunk_bytes=chunk_bytes))
        except ObjectRefused:
            return None

    whole = outcome(io.BytesIO(data), 1 << 16)
    assert outcome(cast(BinaryIO, Slow(data, portions)), chunk) == whole
    if whole is None:
        return
    lines = [line.decode("latin-1") for line in data.splitlines(keepends=True)]
    covered: set[int] = set()
    for record in whole:
        height = len(record.raw.encode("latin-1").splitlines()) if record.raw.strip("\r\n") else 1
        first = record.position - 1
        text = "".join(lines[first : first + height])
        assert text.startswith(record.raw)
        assert text[len(record.raw) :] in ("", "\n", "\r", "\r\n")
        assert covered.isdisjoint(range(first, first + height))
        covered |= set(range(first, first + height))
        assert len(record.values) == 3
        assert (record.error is None) == (record.detail is None)
    blank = {i for i, line in enumerate(lines) if line.strip("\r\n") == ""}
    header_lines = {min(set(range(len(lines))) - blank)} if header and len(blank) < len(lines) else set()
    # Nothing is lost: every line is part of a record, blank, or the header.
    assert set(range(len(lines))) - covered - blank - header_lines == set()


@given(st.binary(max_size=200))
def test_random_bytes_in_gzip(data: bytes) -> None:
    whole = gzip.compress(data)
    for cut in (len(whole), len(whole) - 3, 12):
        try:
            list(scan(io.BytesIO(whole[:cut]), Dialect(header=False), ABC, chunk_bytes=7))
        except ObjectRefused:
            continue
        assert cut == len(whole)
