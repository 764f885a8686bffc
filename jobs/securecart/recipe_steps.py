"""AWS Glue DataBrew recipe files: what a step may say, and what is wrong with it otherwise.

The format is that of DataBrew's own download and of its CreateRecipe API: a JSON list of ``{"Action": {"Operation",
"Parameters"}, "ConditionExpressions": [{"Condition", "Value", "TargetColumn"}]}``, all parameters texts. Why just these
operations: docs/decisions/databrew-recipes.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from securecart.errors import JobError

_SWITCHES = (
    "collapseConsecutiveWhitespace",
    "removeAllPunctuation",
    "removeAllQuotes",
    "removeAllWhitespace",
    "removeCustomCharacters",
    "removeCustomValue",
    "removeLeadingAndTrailingPunctuation",
    "removeLeadingAndTrailingQuotes",
    "removeLeadingAndTrailingWhitespace",
    "removeLetters",
    "removeNumbers",
    "removeSpecialCharacters",
)
_SOURCE = ("sourceColumn",)
_NEW = ("sourceColumn", "targetColumn")

#: Operations by name: the parameters they need, and those they take beside.
OPERATIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # change a column
    "UPPER_CASE": (_SOURCE, ()),
    "LOWER_CASE": (_SOURCE, ()),
    "CAPITAL_CASE": (_SOURCE, ()),
    "ADD_PREFIX": ((*_SOURCE, "pattern"), ()),
    "ADD_SUFFIX": ((*_SOURCE, "pattern"), ()),
    "ADD_SINGLE_QUOTES": (_SOURCE, ()),
    "ADD_DOUBLE_QUOTES": (_SOURCE, ()),
    "REPLACE_TEXT": ((*_SOURCE, "pattern", "value"), ()),
    "REMOVE_COMBINED": (_SOURCE, (*_SWITCHES, "customCharacters", "customValue")),
    "FILL_WITH_CUSTOM": ((*_SOURCE, "columnDataType", "value"), ()),
    "FILL_WITH_EMPTY": (_SOURCE, ()),
    "FILL_WITH_NULL": (_SOURCE, ()),
    # remove rows
    "REMOVE_MISSING": (_SOURCE, ()),
    "REMOVE_VALUES": (_SOURCE, ()),
    # make, drop and name columns
    "TRIM": (_NEW, ()),
    "UPPER": (_NEW, ()),
    "LOWER": (_NEW, ()),
    "PROPER": (_NEW, ()),
    "REMOVE_WHITESPACE": (_NEW, ()),
    "EXTRACT_PATTERN": ((*_NEW, "pattern"), ()),
    "DUPLICATE": (_NEW, ()),
    "MERGE": (("sourceColumns", "targetColumn"), ("delimiter",)),
    "RENAME": (_NEW, ()),
    "DELETE": (_SOURCE, ()),
}

#: Conditions by name: whether they need a value, and of what kind.
CONDITIONS: Mapping[str, str] = {
    "IS": "list",
    "IS_NOT": "list",
    "CONTAINS": "text",
    "NOT_CONTAINS": "text",
    "STARTS_WITH": "text",
    "NOT_STARTS_WITH": "text",
    "ENDS_WITH": "text",
    "NOT_ENDS_WITH": "text",
    "LESS_THAN": "number",
    "LESS_THAN_EQUAL": "number",
    "GREATER_THAN": "number",
    "GREATER_THAN_EQUAL": "number",
    "IS_MISSING": "none",
}


class RecipeError(JobError):
    """A recipe that cannot be run: which file, which step, what is wrong and what is allowed."""


@dataclass(frozen=True)
class Condition:
    """A condition on a row. ``values`` is the list of IS and IS_NOT, one text or number, or empty."""

    name: str
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One step of a recipe. ``label`` names recipe, step and operation in messages."""

    label: str
    operation: str
    parameters: Mapping[str, str]
    conditions: tuple[Condition, ...]

    def error(self, problem: str) -> RecipeError:
        return RecipeError(f"{self.label}: {problem}")

    def columns(self, parameter: str) -> list[str]:
        """The column names of a parameter that is a JSON list."""
        return _texts(self, parameter, self.parameters[parameter])

    def is_on(self, switch: str) -> bool:
        return self.parameters.get(switch) == "true"


def parse_recipe(name: str, text: str) -> list[Step]:
    """The steps of a recipe file.

    Args:
        name: the file's name, for messages.
        text: its JSON.

    Raises:
        RecipeError: the text is no recipe, or a step is one that is not supported, with its number and name.
    """
    try:
        steps = json.loads(text)
    except ValueError as error:
        raise RecipeError(f"recipe {name} is not JSON: {error}. Correct the file") from error
    if not isinstance(steps, list):
        raise RecipeError(f'recipe {name} must be a JSON list of steps, [{{"Action": …}}, …]')
    return [_parse_step(name, number, raw) for number, raw in enumerate(steps, 1)]


def _parse_step(recipe: str, number: int, raw: Any) -> Step:
    action = raw.get("Action") if isinstance(raw, dict) else None
    if not isinstance(action, dict) or not isinstance(action.get("Operation"), str):
        raise RecipeError(
            f"recipe {recipe}, step {number} must be "
            '{"Action": {"Operation": "…", "Parameters": {…}}, "ConditionExpressions": […]}'
        )
    operation = action["Operation"]
    parameters = action.get("Parameters", {})
    step = Step(f"recipe {recipe}, step {number} ({operation})", operation, parameters, ())
    _refuse_unknown(step, "field", {**raw, **action}, ("Action", "Operation", "Parameters", "ConditionExpressions"))
    if operation not in OPERATIONS:
        raise step.error(f"this operation is not supported. Supported: {', '.join(sorted(OPERATIONS))}")
    needed, more = OPERATIONS[operation]
    _check_parameters(step, needed, more)
    conditions = raw.get("ConditionExpressions", [])
    if not isinstance(conditions, list):
        raise step.error("ConditionExpressions must be a list")
    if operation == "REMOVE_VALUES" and not conditions:
        raise step.error("it removes the rows that meet its ConditionExpressions, and has none. Add one")
    if operation in ("DELETE", "RENAME") and conditions:
        raise step.error("a whole column cannot be made to depend on a row. Remove ConditionExpressions")
    return Step(step.label, operation, parameters, tuple(_parse_condition(step, c) for c in conditions))


def _check_parameters(step: Step, needed: tuple[str, ...], more: tuple[str, ...]) -> None:
    parameters = step.parameters
    if not isinstance(parameters, dict):
        raise step.error("Parameters must be an object")
    _refuse_unknown(step, "parameter", parameters, (*needed, *more))
    if missing := [p for p in needed if p not in parameters]:
        raise step.error(f"it lacks {', '.join(missing)}")
    for name, value in parameters.items():
        if not isinstance(value, str):
            raise step.error(f'{name} is {json.dumps(value)}: DataBrew takes texts only, write "{value}"')
        if name in _SWITCHES and value not in ("true", "false"):
            raise step.error(f'{name} is "{value}": write "true" or "false"')
    if "sourceColumns" in parameters and len(_texts(step, "sourceColumns", parameters["sourceColumns"])) < 2:
        raise step.error("sourceColumns must name two columns or more")
    if parameters.get("columnDataType", "string") != "string":
        raise step.error(
            f'columnDataType is "{parameters["columnDataType"]}": here every column is still a text, write "string"'
        )
    for switch, value_name in (("removeCustomCharacters", "customCharacters"), ("removeCustomValue", "customValue")):
        if step.is_on(switch) and not parameters.get(value_name):
            raise step.error(f"{switch} needs {value_name}")


def _parse_condition(step: Step, raw: Any) -> Condition:
    if not isinstance(raw, dict) or not all(isinstance(raw.get(k), str) for k in ("Condition", "TargetColumn")):
        raise step.error('a condition must be {"Condition": "…", "TargetColumn": "…", "Value": "…"}')
    _refuse_unknown(step, "field of a condition", raw, ("Condition", "TargetColumn", "Value"))
    name = raw["Condition"]
    if name not in CONDITIONS:
        raise step.error(f"the condition {name} is not supported. Supported: {', '.join(sorted(CONDITIONS))}")
    kind, value = CONDITIONS[name], raw.get("Value")
    if kind == "none":
        return Condition(name, raw["TargetColumn"], ())
    if not isinstance(value, str):
        raise step.error(f"the condition {name} needs a Value, a text")
    if kind == "list":
        return Condition(name, raw["TargetColumn"], tuple(_texts(step, f"the Value of {name}", value)))
    if kind == "number":
        try:
            float(value)
        except ValueError as error:
            raise step.error(f'the condition {name} compares numbers, "{value}" is none') from error
    return Condition(name, raw["TargetColumn"], (value,))


def _texts(step: Step, what: str, value: str) -> list[str]:
    """A JSON list of texts inside a text, as DataBrew writes lists."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(v, str) for v in found):
        raise step.error(f'{what} must be a JSON list of texts inside a text, like "[\\"a\\",\\"b\\"]"')
    return found


def _refuse_unknown(step: Step, what: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise step.error(f"unknown {what} {', '.join(unknown)}. Known: {', '.join(known)}")
