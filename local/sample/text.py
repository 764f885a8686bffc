"""How values are written: money from minor units, and instants in the five formats of the contracts."""

from collections.abc import Callable
from functools import lru_cache

from .world import BERLIN, DAY, NEW_YORK, Zones, day_text

ISO, PLAIN, EPOCH_MS, US_LOCAL, BERLIN_LOCAL = range(5)
FORMAT_NAMES = (
    "yyyy-MM-dd'T'HH:mm:ssXXX",
    "yyyy-MM-dd HH:mm:ss",
    "epoch_ms",
    "MM/dd/yyyy HH:mm America/New_York",
    "dd.MM.yyyy HH:mm:ss Europe/Berlin",
)

iso_day = lru_cache(maxsize=4096)(day_text)


def money(minor: int) -> str:
    """Two decimals from hundredths."""
    sign = "-" if minor < 0 else ""
    minor = abs(minor)
    return f"{sign}{minor // 100}.{minor % 100:02d}"


def dynamo_number(minor: int) -> str:
    """Hundredths as DynamoDB stores a number: without trailing zeros."""
    return money(minor).rstrip("0").rstrip(".")


def clock(second_of_day: int) -> str:
    """HH:mm:ss."""
    return f"{second_of_day // 3600:02d}:{second_of_day // 60 % 60:02d}:{second_of_day % 60:02d}"


def utc(at: int) -> str:
    """yyyy-MM-dd HH:mm:ss in UTC, as the MySQL files and statements write timestamps."""
    return f"{iso_day(at // DAY)} {clock(at % DAY)}"


def utc_iso(at: int, micros: int | None = None) -> str:
    """ISO 8601 in UTC; six decimals when `micros` is given."""
    fraction = "" if micros is None else f".{micros:06d}"
    return f"{iso_day(at // DAY)}T{clock(at % DAY)}{fraction}Z"


def offset_text(seconds: int) -> str:
    """+02:00; Z for zero."""
    if seconds == 0:
        return "Z"
    sign = "-" if seconds < 0 else "+"
    minutes = abs(seconds) // 60
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def pick_format(draw: Callable[[], float]) -> int:
    """One of the five formats, with the share that each has in the sample."""
    r = draw()
    return ISO if r < 0.45 else PLAIN if r < 0.65 else EPOCH_MS if r < 0.80 else US_LOCAL if r < 0.90 else BERLIN_LOCAL


def fit(zones: Zones, at: int, style: int) -> tuple[int, int]:
    """The instant and format that agree exactly.

    The New York format has minutes only, so the instant loses its seconds. In the second pass of a repeated hour a
    local time would be read as the first pass (Java takes the earlier offset), so the ISO format is used instead.
    """
    if style == US_LOCAL:
        return (at, ISO) if zones.repeats(NEW_YORK, at) else (at - at % 60, US_LOCAL)
    if style == BERLIN_LOCAL and zones.repeats(BERLIN, at):
        return at, ISO
    return at, style


def written(zones: Zones, at: int, style: int, home: str) -> str:
    """The instant in one of the five formats; ISO carries the offset of the zone `home`."""
    if style == ISO:
        shift = zones.offset(home, at)
        local = at + shift
        return f"{iso_day(local // DAY)}T{clock(local % DAY)}{offset_text(shift)}"
    if style == PLAIN:
        return utc(at)
    if style == EPOCH_MS:
        return f"{at}000"
    if style == US_LOCAL:
        local = at + zones.offset(NEW_YORK, at)
        day = iso_day(local // DAY)
        return f"{day[5:7]}/{day[8:10]}/{day[:4]} {clock(local % DAY)[:5]}"
    local = at + zones.offset(BERLIN, at)
    day = iso_day(local // DAY)
    return f"{day[8:10]}.{day[5:7]}.{day[:4]} {clock(local % DAY)}"
