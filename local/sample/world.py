"""The fixed facts of the sample's world: regions, currencies, categories, addresses, time zones.

Regions, their time zones and aliases come from contracts/reference.json; what the reference does not say (how much
a region sells, which networks its clients come from) is here.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

REFERENCE = Path(__file__).resolve().parents[2] / "contracts" / "reference.json"
EPOCH_DAY = date(1970, 1, 1).toordinal()
DAY = 86_400

CATEGORIES = ("Electronics", "Home", "Fashion", "Beauty", "Sports", "Toys", "Grocery", "Books")
UNCATEGORISED = "Uncategorised"
SEGMENTS = ("consumer", "business", "premium")
NEW_YORK = "America/New_York"
BERLIN = "Europe/Berlin"


@dataclass(frozen=True)
class Profile:
    """What the sample adds to a region of the reference: its share of sales, countries and IP networks."""

    share: int
    countries: tuple[str, ...]
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]


PROFILES = {
    "us-east": Profile(24, ("US", "CA"), ("73.162", "98.114", "24.48"), ("2600:1700",)),
    "us-west": Profile(18, ("US",), ("67.180", "76.90", "98.207"), ("2600:1700",)),
    "eu-north": Profile(16, ("SE", "NO", "FI", "DK"), ("78.72", "84.208", "91.152", "80.160"), ("2a01:798",)),
    "eu-south": Profile(16, ("ES", "PT", "IT"), ("83.40", "85.240", "93.40"), ("2a02:9130",)),
    "apac": Profile(14, ("JP", "KR", "AU"), ("126.72", "211.36", "1.128"), ("2400:4050",)),
    "latam": Profile(12, ("BR", "AR", "MX"), ("177.32", "190.16", "187.190"), ("2804:14c",)),
}
PRIVATE_NETWORK = "10.20"


@dataclass(frozen=True)
class Region:
    """A sales region: canonical name, IANA zone, ISO currency, and every spelling that means it."""

    name: str
    time_zone: str
    currency: str
    spellings: tuple[str, ...]
    profile: Profile


class Zones:
    """UTC offsets by hour; they change only on whole hours in the zones used, so one look-up serves an hour."""

    def __init__(self) -> None:
        self._offsets: dict[tuple[str, int], int] = {}
        self._zones: dict[str, ZoneInfo] = {}

    def offset(self, zone: str, at: int) -> int:
        """Seconds east of UTC in `zone` at the instant `at` (epoch seconds)."""
        key = (zone, at // 3600)
        found = self._offsets.get(key)
        if found is None:
            moment = datetime.fromtimestamp(at, UTC).astimezone(self._zone(zone))
            delta = moment.utcoffset()
            found = 0 if delta is None else int(delta.total_seconds())
            self._offsets[key] = found
        return found

    def repeats(self, zone: str, at: int) -> bool:
        """True in the second pass of an hour that clocks run through twice: its local time would parse to the first."""
        return self.offset(zone, at) < self.offset(zone, at - 3600)

    def local_day(self, zone: str, at: int) -> int:
        """Calendar day in `zone`, as days since 1970-01-01."""
        return (at + self.offset(zone, at)) // DAY

    def _zone(self, name: str) -> ZoneInfo:
        if name not in self._zones:
            try:
                self._zones[name] = ZoneInfo(name)
            except ZoneInfoNotFoundError as error:
                raise SystemExit(
                    f"sample: the time zone {name} is not known on this machine; install its time zone data "
                    "('apt install tzdata', or 'pip install tzdata')"
                ) from error
        return self._zones[name]


@dataclass(frozen=True)
class World:
    """Regions in the reference's order and the spellings of every currency."""

    regions: tuple[Region, ...]
    currencies: dict[str, tuple[str, ...]]
    zones: Zones

    def region_picker(self, rng: Random) -> Callable[[], Region]:
        """Draws regions by their share of sales."""
        urn = [region for region in self.regions for _ in range(region.profile.share)]
        size, draw = len(urn), rng.random
        return lambda: urn[int(draw() * size)]


def load_world(reference: Path = REFERENCE) -> World:
    """Reads contracts/reference.json; a region without a profile here is refused by name."""
    document = json.loads(reference.read_text("utf-8"))
    unknown = sorted(set(document["regions"]) - set(PROFILES))
    if unknown:
        raise SystemExit(
            f"sample: {reference} has the region {unknown[0]}, which has no profile in {__file__}; add one there"
        )
    regions = tuple(
        Region(
            name,
            entry["time_zone"],
            entry["currency"],
            (name.upper(), *entry["aliases"], entry["aliases"][0].upper()),
            PROFILES[name],
        )
        for name, entry in document["regions"].items()
    )
    currencies = {code: (code.lower(), *entry["aliases"]) for code, entry in document["currencies"].items()}
    return World(regions, currencies, Zones())


def ip_address(region: Region, draw: Callable[[], float]) -> str | None:
    """A client address: mostly public IPv4 of the region's countries, some IPv6, some private, some absent."""
    kind = draw()
    host = int(draw() * 62_000)
    if kind < 0.90:
        networks = region.profile.ipv4
        return f"{networks[host % len(networks)]}.{host // 250}.{1 + host % 250}"
    if kind < 0.95:
        networks = region.profile.ipv6
        return f"{networks[host % len(networks)]}:{host % 4096 + 1:x}::{host // 4096 + 1:x}"
    if kind < 0.98:
        return f"{PRIVATE_NETWORK}.{host // 250}.{1 + host % 250}"
    return None


def day_text(day: int) -> str:
    """yyyy-MM-dd of days since 1970-01-01."""
    return date.fromordinal(EPOCH_DAY + day).isoformat()


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - EPOCH_DAY
