"""The sample generator: repeatable, its counts add up, its files hold the defects that the truth counts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "local"))

from sample.generate import generate, generate_more  # noqa: E402
from sample.text import BERLIN_LOCAL, ISO, US_LOCAL, fit, written  # noqa: E402
from sample.world import Zones  # noqa: E402

Truth = dict[str, Any]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth, Truth]:
    out = tmp_path_factory.mktemp("sample") / "out"
    generate(out, scale=0.1)
    generate_more(out)
    return out, read_json(out / "truth.json"), read_json(out / "truth-2.json")


def read_json(path: Path) -> Truth:
    document: Truth = json.loads(path.read_text("utf-8"))
    return document


def hashes(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def live_items(log: Path) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for line in log.read_text("utf-8").splitlines():
        change = json.loads(line)
        key = change["keys"]["orderId"]["S"]
        if change["op"] == "DELETE":
            del items[key]
        else:
            items[key] = change["item"]
    return items


def test_same_seed_and_scale_give_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        generate(tmp_path / name, seed=seed, scale=0.02)
        generate_more(tmp_path / name)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert hashes(tmp_path / "a")["truth.json"] != hashes(tmp_path / "c")["truth.json"]


def test_scale_sets_the_size(tmp_path: Path) -> None:
    small = generate(tmp_path / "small", scale=0.01)
    larger = generate(tmp_path / "larger", scale=0.05)
    assert 190 <= read_json(tmp_path / "small" / "truth.json")["tables"]["orders"] <= 200
    assert 970 <= read_json(tmp_path / "larger" / "truth.json")["tables"]["orders"] <= 1000
    assert small["parameters"] != larger["parameters"]


def test_every_dataset_adds_up(sample: tuple[Path, Truth, Truth]) -> None:
    datasets = sample[1]["datasets"]
    assert len(datasets) == 10
    for name, counts in datasets.items():
        gone = sum(counts["deduplicated"].values()) + sum(counts["quarantined"].values())
        assert counts["read"] == counts["loaded"] + gone, name
    tables = sample[1]["tables"]
    assert tables["orders"] == datasets["mysql_orders"]["loaded"] + datasets["dynamodb_orders"]["loaded"]
    lines = datasets["mysql_order_items"]["loaded"] + datasets["dynamodb_order_items"]["loaded"]
    assert tables["order_items"] == lines
    assert sample[1]["order_history"]["rows"] == tables["orders"]


def test_mysql_files_hold_the_rows_counted(sample: tuple[Path, Truth, Truth]) -> None:
    out, truth, _ = sample
    for table in ("orders", "order_items", "customers", "products", "inventory"):
        found = rows(out / "sources" / "mysql" / f"{table}.csv")
        dataset = f"mysql_{table}" if table.startswith("order") else table
        assert len(found) == truth["datasets"][dataset]["read"], table
        surrogates = [int(next(iter(row.values()))) for row in found]
        assert surrogates == list(range(1, len(found) + 1)), table
        assert all(None not in row and None not in row.values() for row in found), table
    orders = rows(out / "sources" / "mysql" / "orders.csv")
    missing = sum(row["order_id"] == "" for row in orders)
    assert missing == truth["datasets"]["mysql_orders"]["quarantined"]["MISSING_ORDER_ID"] > 0
    negative = sum(row["unit_price"].startswith("-") for row in rows(out / "sources" / "mysql" / "order_items.csv"))
    assert negative == truth["datasets"]["mysql_order_items"]["quarantined"]["BELOW_MINIMUM_UNIT_PRICE"] > 0


def test_dynamodb_log_is_in_order_and_ends_with_the_items_counted(sample: tuple[Path, Truth, Truth]) -> None:
    out, truth, _ = sample
    log = out / "sources" / "dynamodb" / "orders.jsonl"
    times = [json.loads(line)["at"] for line in log.read_text("utf-8").splitlines()]
    assert times == sorted(times)
    items = live_items(log)
    assert len(items) == truth["datasets"]["dynamodb_orders"]["read"]
    lines = sum(len(item["items"]["L"]) for item in items.values())
    assert lines == truth["datasets"]["dynamodb_order_items"]["read"]


def test_orders_in_both_sources_lose_by_version_and_precedence(sample: tuple[Path, Truth, Truth]) -> None:
    out, truth, _ = sample
    shop = {row["order_id"]: row for row in rows(out / "sources" / "mysql" / "orders.csv")}
    outcome: Counter[str] = Counter()
    for key, item in live_items(out / "sources" / "dynamodb" / "orders.jsonl").items():
        if key in shop:
            app_version = item["updatedAt"]["S"][:19].replace("T", " ")
            shop_version = shop[key]["updated_at"]
            outcome["equal" if app_version == shop_version else "app" if app_version > shop_version else "shop"] += 1
    datasets = truth["datasets"]
    assert outcome["equal"] == datasets["dynamodb_orders"]["deduplicated"]["lower_precedence"] > 0
    assert outcome["shop"] == datasets["dynamodb_orders"]["deduplicated"]["older_version"] > 0
    assert outcome["app"] == datasets["mysql_orders"]["deduplicated"]["older_version"] > 0


def test_drops_hold_the_lines_and_the_broken_bytes_counted(sample: tuple[Path, Truth, Truth]) -> None:
    out, truth, _ = sample
    drops = [file for file in truth["files"] if file["dataset"] == "transactions"]
    assert len(drops) == 12
    found: Counter[str] = Counter()
    good: list[str] = []
    for drop in drops:
        data = (out / drop["path"]).read_bytes().removeprefix(b"\xef\xbb\xbf")
        lines = data.splitlines()[1:]
        assert len(lines) == drop["read"], drop["path"]
        for line in lines:
            try:
                fields = next(csv.reader(io.StringIO(line.decode("utf-8"))))
            except UnicodeDecodeError:
                found["BAD_ENCODING"] += 1
                continue
            if len(fields) == 11:
                good.append(fields[0])
                found["BELOW_MINIMUM_AMOUNT"] += fields[4].startswith("-") and fields[4] != "--"
            else:
                found["TRUNCATED_LINE" if len(fields) < 11 else "TOO_MANY_FIELDS"] += 1
    counts = truth["datasets"]["transactions"]
    for code in ("BAD_ENCODING", "BELOW_MINIMUM_AMOUNT", "TRUNCATED_LINE", "TOO_MANY_FIELDS"):
        assert found[code] == counts["quarantined"][code] > 0, code
    keys = Counter(key for key in good if key not in ("", "NULL"))
    assert sum(n - 1 for n in keys.values()) == sum(counts["deduplicated"].values())
    marks = [(out / drop["path"]).read_bytes().startswith(b"\xef\xbb\xbf") for drop in drops]
    assert marks.count(True) == 1


def test_every_kind_of_defect_and_format_is_there(sample: tuple[Path, Truth, Truth]) -> None:
    truth = sample[1]
    formats = [name for name in truth["values_written"] if name.startswith("ordered_at ")]
    assert len(formats) == 5
    assert truth["values_written"]["late_rows"] > 0
    assert truth["datasets"]["transactions"]["deduplicated"].keys() == {"exact_copy", "older_version"}
    for name, counts in truth["datasets"].items():
        limit = 0.5 if name == "campaigns" else 0.05
        assert sum(counts["quarantined"].values()) < limit * counts["read"], name
    revenue = truth["category_revenue"]["by_region_category"]
    assert {cell["region"] for cell in revenue} == set(truth["order_history"]["by_region"])
    assert "Uncategorised" in {cell["category"] for cell in revenue}


def test_revenue_cells_add_up_to_the_total_and_net_follows(sample: tuple[Path, Truth, Truth]) -> None:
    for truth in sample[1:]:
        revenue = truth["category_revenue"]
        for name in ("gross_amount_usd", "returned_amount_usd", "net_amount_usd"):
            total = sum(Decimal(cell[name]) for cell in revenue["by_region_category"])
            assert total == Decimal(revenue["total"][name]) > 0
        for cell in revenue["by_region_category"]:
            taken = Decimal(cell["discount_amount_usd"]) + Decimal(cell["returned_amount_usd"])
            assert Decimal(cell["net_amount_usd"]) == Decimal(cell["gross_amount_usd"]) - taken


def test_second_step_changes_what_it_counts(sample: tuple[Path, Truth, Truth]) -> None:
    out, first, second = sample
    changes = second["changes"]
    for table in ("orders", "order_items"):
        shop, app = changes[f"mysql_{table}"], changes[f"dynamodb_{table}"]
        gain = shop["inserted"] + app["inserted"] - shop["deleted"] - app["deleted"]
        assert second["tables"][table] == first["tables"][table] + gain
    log = [json.loads(line) for line in (out / "sources" / "dynamodb" / "changes-2.jsonl").read_text().splitlines()]
    kinds = Counter(change["op"] for change in log)
    assert kinds["DELETE"] == changes["dynamodb_orders"]["deleted"] > 0
    statements = (out / "sources" / "mysql" / "changes-2.sql").read_text("utf-8")
    assert statements.count("insert into orders ") == changes["mysql_orders"]["inserted"] > 0
    payments = second["transactions"]
    gain = payments["new"] - payments["removed"]
    assert second["tables"]["transactions"] == first["tables"]["transactions"] + gain


def test_corrected_drop_differs_only_in_what_was_corrected(sample: tuple[Path, Truth, Truth]) -> None:
    out, _, second = sample
    corrected = next(f["path"] for f in second["files"] if (out / f["path"].removeprefix("step-2/")).is_file())
    typed: list[dict[bytes, bytes]] = []
    for path in (corrected.removeprefix("step-2/"), corrected):
        lines = [line.split(b",") for line in (out / path).read_bytes().splitlines()[1:]]
        typed.append({line[0]: line[4] for line in lines if len(line) > 10 and line[0] not in (b"", b"NULL")})
    before, after = typed
    assert after.keys() < before.keys()
    assert len(before) - len(after) == second["transactions"]["removed"] > 0
    assert sum(before[key] != amount for key, amount in after.items()) == second["transactions"]["corrected"] > 0


def test_campaign_rows_are_clean_and_counted(sample: tuple[Path, Truth, Truth]) -> None:
    truth = sample[1]
    assert len(truth["campaigns_rows"]) == truth["datasets"]["campaigns"]["loaded"]
    keys = [row[0] for row in truth["campaigns_rows"]]
    assert keys == sorted(set(keys))
    assert {row[2] for row in truth["campaigns_rows"]} == {"EMAIL", "SEARCH", "SOCIAL", "DISPLAY"}


def test_local_times_of_a_repeated_hour() -> None:
    zones = Zones()
    first, second = 1_792_888_200, 1_792_891_800  # 02:30 in Berlin twice on 2026-10-25: 00:30 and 01:30 UTC
    assert written(zones, first, BERLIN_LOCAL, "Europe/Berlin") == "25.10.2026 02:30:00"
    assert fit(zones, first, BERLIN_LOCAL) == (first, BERLIN_LOCAL)
    assert fit(zones, second, BERLIN_LOCAL) == (second, ISO)
    assert written(zones, second, ISO, "Europe/Madrid") == "2026-10-25T02:30:00+01:00"
    assert written(zones, *fit(zones, first + 59, US_LOCAL), "Asia/Tokyo") == "10/24/2026 20:30"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(SystemExit, match="not a sample"):
        generate(tmp_path, scale=0.01)
    assert (tmp_path / "mine.txt").read_text() == "keep me"
