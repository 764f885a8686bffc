"""Contracts: valid by the standard, and refused with what, where and what to do when they cannot be used."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import odcs
import pytest
import yaml
from securecart.contract import load_bundle, parse_contract
from securecart.errors import ContractError

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    file
    for folder in ("contracts", "examples")
    for file in (ROOT / folder).rglob("*.yaml")
    if "kind: DataContract" in file.read_text("utf-8")
)


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "contracts" / f"{name}.yaml").read_text("utf-8"))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_contract_is_valid_by_the_standard(file: Path) -> None:
    odcs.check([yaml.safe_load(file.read_text("utf-8"))])


def test_what_the_standard_refuses_is_named() -> None:
    broken = document("orders")
    broken["schema"][0]["properties"][0]["logicalType"] = "word"
    broken["colour"] = "blue"
    with pytest.raises(ContractError) as refused:
        odcs.check([broken])
    assert "contract 'orders', schema.0.properties.0" in str(refused.value)
    assert "'word'" in str(refused.value)
    assert "colour" in str(refused.value)


def test_both_loaders_read_the_same_files() -> None:
    bundle = load_bundle(str(ROOT / "contracts"))
    assert {c.name for c in bundle.contracts.values()} == {f.stem for f in (ROOT / "contracts").glob("*.yaml")}
    assert bundle["order_items"].keys == ("order_id", "line_no")
    assert [c.name for c in bundle["orders"].partitions] == ["region", "ordered_at"]
    assert [c.name for c in bundle.sources_of("orders")] == ["mysql_orders", "dynamodb_orders"]


def test_an_unknown_type_names_contract_column_value_and_what_is_allowed() -> None:
    broken = copy.deepcopy(document("orders"))
    broken["schema"][0]["properties"][1]["physicalType"] = "money"
    with pytest.raises(ContractError, match=r"contract 'orders', column 'customer_id': unknown physicalType 'money'"):
        parse_contract(broken)


def test_a_table_needs_a_key() -> None:
    broken = copy.deepcopy(document("orders"))
    del broken["schema"][0]["properties"][0]["primaryKey"]
    with pytest.raises(ContractError, match="has no primaryKey"):
        parse_contract(broken)


def test_a_missing_contract_is_named_with_the_known_ones() -> None:
    with pytest.raises(ContractError, match=r"no contract 'ordres'\. Known: abandoned_carts, api_events, "):
        load_bundle(str(ROOT / "contracts"))["ordres"]
