"""Campaign files with the dirt that the recipe repairs, and the clean rows that must come out.

Dirt, all of it in the raw files: spaces around campaign_id, campaign_name, channel and region; channels in lower case
and as variants (CHANNELS); dates as dd/MM/yyyy; an end_date, clicks or conversions that is missing (empty or n/a).
Rows that the recipe removes (RECIPE_REMOVED): no campaign_id, and names that begin with TEST. Rows that stay bad: an
unknown region, a negative spend. The second file repeats one row of the first (an exact copy once clean) and brings
newer versions of others.
"""

from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from .counts import Json, Tally
from .text import money
from .world import CATEGORIES, Region, World

COLUMNS = (
    "campaign_id",
    "campaign_name",
    "channel",
    "region",
    "start_date",
    "end_date",
    "budget_usd",
    "spend_usd",
    "impressions",
    "clicks",
    "conversions",
)
CHANNELS = {
    "EMAIL": ("EMAIL", "email", "e-mail", "E-Mail", "Newsletter"),
    "SEARCH": ("SEARCH", "search", "Paid Search", "ppc", "SEM"),
    "SOCIAL": ("SOCIAL", "social", "Social Media", "paid social"),
    "DISPLAY": ("DISPLAY", "display", "Banner", "banner ads"),
}
SEASONS = ("Autumn", "Back to School", "Summer Sale", "Black Week", "Loyalty", "New In")
FIRST_FILE, SECOND_FILE, REPEATED = 40, 20, 6


class Campaign(NamedTuple):
    """One clean campaign; amounts in cents."""

    number: int
    name: str
    channel: str
    region: Region
    start: date
    end: date | None
    budget: int
    spend: int
    impressions: int
    clicks: int
    conversions: int

    def clean(self) -> list[Json]:
        """The row of the clean table, in the contract's order of columns; decimals and dates as text."""
        return [
            f"CMP-{self.number:04d}",
            self.name,
            self.channel,
            self.region.name,
            self.start.isoformat(),
            None if self.end is None else self.end.isoformat(),
            money(self.budget),
            money(self.spend),
            self.impressions,
            self.clicks,
            self.conversions,
        ]


class Campaigns:
    """Draws the two files and keeps the rows expected."""

    def __init__(self, world: World, rng: Random, end: date, tally: Tally) -> None:
        self._world = world
        self._rng = rng
        self._end = end
        self._tally = tally
        self._pick_region = world.region_picker(rng)
        self._clean: dict[int, Campaign] = {}

    def files(self) -> list[tuple[str, list[str]]]:
        """Name and lines (with header) of each file, the older one first."""
        middle = self._end - timedelta(days=45)
        first = [self._draw(number) for number in range(1, FIRST_FILE + 1)]
        second = [self._draw(number) for number in range(FIRST_FILE + 1, FIRST_FILE + SECOND_FILE + 1)]
        head = ";".join(COLUMNS)
        older = [self._load(campaign) for campaign in first]
        older += [self._removed(90, "id"), self._removed(91, "test")]
        newer = [self._load(campaign) for campaign in second]
        for number, campaign in enumerate(first[:REPEATED]):
            if number == 0:
                self._tally.lose("exact_copy")
                newer.append(self._dirty(campaign))
            else:
                self._tally.lose("older_version")
                grown = campaign._replace(spend=campaign.spend + 10_000, clicks=campaign.clicks + 250)
                self._clean[campaign.number] = grown
                newer.append(self._dirty(grown))
        newer += [self._removed(92, "test"), self._removed(93, "id"), self._bad(94, "region"), self._bad(95, "spend")]
        return [
            (f"campaigns-{middle.isoformat()}.csv", [head, *older]),
            (f"campaigns-{self._end.isoformat()}.csv", [head, *newer]),
        ]

    def clean_rows(self) -> list[Json]:
        """The clean table, ordered by campaign_id."""
        return [self._clean[number].clean() for number in sorted(self._clean)]

    def _load(self, campaign: Campaign) -> str:
        self._tally.load()
        self._clean[campaign.number] = campaign
        return self._dirty(campaign)

    def _removed(self, number: int, why: str) -> str:
        self._tally.reject("RECIPE_REMOVED")
        campaign = self._draw(number)
        if why == "test":
            return self._dirty(campaign._replace(name=f"TEST {campaign.name}"), spaces=False)
        fields = self._dirty(campaign).split(";")
        return ";".join([("", "n/a")[number % 2], *fields[1:]])

    def _bad(self, number: int, column: str) -> str:
        campaign = self._draw(number)
        if column == "spend":
            self._tally.reject("BELOW_MINIMUM_SPEND_USD")
            return self._dirty(campaign._replace(spend=-campaign.spend))
        self._tally.reject("INVALID_VALUE_REGION")
        fields = self._dirty(campaign).split(";")
        fields[3] = "atlantis"
        return ";".join(fields)

    def _draw(self, number: int) -> Campaign:
        draw = self._rng.random
        start = self._end - timedelta(days=10 + int(draw() * 100))
        budget = 100_000 + int(draw() * 5_000_000)
        clicks = int(draw() * 20_000)
        return Campaign(
            number,
            f"{SEASONS[int(draw() * len(SEASONS))]} {CATEGORIES[number % len(CATEGORIES)]} {number}",
            tuple(CHANNELS)[number % len(CHANNELS)],
            self._pick_region(),
            start,
            None if number % 7 == 3 else start + timedelta(days=14 + int(draw() * 30)),
            budget,
            1 + int(budget * draw()),
            clicks * 20 + int(draw() * 10_000),
            0 if number % 11 == 5 else clicks,
            0 if number % 9 == 4 else clicks // 30,
        )

    def _dirty(self, campaign: Campaign, spaces: bool = True) -> str:
        """The raw line: every kind of dirt now and then, none that changes what the row means."""
        draw = self._rng.random
        row = campaign.clean()
        variants = CHANNELS[campaign.channel]
        region = campaign.region
        row[2] = variants[int(draw() * len(variants))]
        row[3] = region.spellings[int(draw() * len(region.spellings))] if draw() < 0.2 else region.name
        if spaces:
            for column in range(4):
                row[column] = f"{' ' * int(draw() * 2.5)}{row[column]}{' ' * int(draw() * 2.5)}"
        day = campaign.start
        if draw() < 0.4:
            row[4] = f"{day:%d/%m/%Y}"
        if campaign.end is None:
            row[5] = "n/a" if draw() < 0.5 else ""
        elif draw() < 0.4:
            row[5] = f"{campaign.end:%d/%m/%Y}"
        row[6], row[7] = str(row[6]).replace(".", ","), str(row[7]).replace(".", ",")
        for column in (9, 10):
            if row[column] == 0 and draw() < 0.8:
                row[column] = "n/a" if draw() < 0.5 else ""
        return ";".join(str(value) for value in row)
