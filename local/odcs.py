"""Contracts against the standard's own JSON schema, which the package ``open-data-contract-standard`` carries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jsonschema import Draft201909Validator
from securecart.errors import ContractError


def violations(document: Mapping[str, Any]) -> list[str]:
    """What the Open Data Contract Standard does not allow in a contract: place and reason, most specific first."""
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
    found = Draft201909Validator(schema).iter_errors(document)
    worst = sorted(found, key=lambda error: -len(list(error.absolute_path)))
    return [f"{'.'.join(str(step) for step in e.absolute_path) or 'document'}: {e.message[:300]}" for e in worst]


def check(documents: Iterable[Mapping[str, Any]]) -> None:
    """Refuses contracts that are not valid by the standard.

    Raises:
        ContractError: naming every contract, place and reason.
    """
    problems = [f"contract '{d.get('name', '?')}', {problem}" for d in documents for problem in violations(d)]
    if problems:
        raise ContractError(
            "not valid by the Open Data Contract Standard (bitol-io.github.io/open-data-contract-standard):\n"
            + "\n".join(problems)
        )
