"""Runs a DataBrew recipe where there is no DataBrew: the very file that is deployed, step by step, on Spark."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence

from pyspark.errors import IllegalArgumentException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from securecart import lake
from securecart.errors import ContractError
from securecart.landing import landing_schema
from securecart.objects import read_text
from securecart.recipe_steps import Condition, RecipeError, Step, parse_recipe

_PUNCTUATION = ".!,?"
_QUOTES = "'\""
_SPECIAL = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def apply_recipe(df: DataFrame, steps: Sequence[Step]) -> DataFrame:
    """The rows as the recipe's steps leave them, in the steps' order.

    Columns whose name begins with ``_`` say where a record came from: steps cannot touch them.

    Raises:
        RecipeError: a step names a column that is not there, makes one that is, or has a bad pattern.
    """
    for step in steps:
        _check_columns(df, step)
        if "pattern" in step.parameters and step.operation in ("REPLACE_TEXT", "EXTRACT_PATTERN"):
            _check_pattern(df, step)
        df = _apply(df, step)
    return df


def is_missing(column: Column) -> Column:
    """No value: null, or the empty text that is left of a blank one."""
    return column.isNull() | (column == "")


def _apply(df: DataFrame, step: Step) -> DataFrame:
    parameters = step.parameters
    source, target = parameters.get("sourceColumn", ""), parameters.get("targetColumn", "")
    met = F.lit(True)
    for condition in step.conditions:
        # A comparison with a missing value is neither true nor false: the condition is not met.
        met = met & F.coalesce(_MET[condition.name](F.col(_quoted(condition.column)), condition), F.lit(False))
    match step.operation:
        case "REMOVE_VALUES":
            return df.filter(~met)
        case "REMOVE_MISSING":
            return df.filter(~(is_missing(F.col(_quoted(source))) & met))
        case "DELETE":
            return df.drop(source)
        case "RENAME":
            return df.withColumnRenamed(source, target)
        case "MERGE":
            merged = F.concat_ws(
                parameters.get("delimiter", ""), *[F.col(_quoted(c)) for c in step.columns("sourceColumns")]
            )
            return df.withColumn(target, F.when(met, merged))
        case operation if operation in _CHANGES:
            old = F.col(_quoted(source))
            return df.withColumn(source, F.when(met, _CHANGES[operation](old, step)).otherwise(old))
        case operation:
            return df.withColumn(target, F.when(met, _MADE[operation](F.col(_quoted(source)), step)))


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _remove_combined(column: Column, step: Step) -> Column:
    """The switches of REMOVE_COMBINED, white space last, since what else is removed can leave some."""
    parameters = step.parameters
    classes = {
        "removeLetters": "[A-Za-z]",
        "removeNumbers": "[0-9]",
        "removeSpecialCharacters": _any_of(_SPECIAL),
        "removeAllPunctuation": _any_of(_PUNCTUATION),
        "removeAllQuotes": _any_of(_QUOTES),
        "removeLeadingAndTrailingPunctuation": _ends(_any_of(_PUNCTUATION)),
        "removeLeadingAndTrailingQuotes": _ends(_any_of(_QUOTES)),
        "removeCustomCharacters": _any_of(parameters.get("customCharacters", "")),
        "removeCustomValue": re.escape(parameters.get("customValue", "")),
        "removeAllWhitespace": r"\s",
        "removeLeadingAndTrailingWhitespace": _ends(r"\s"),
    }
    for switch, pattern in classes.items():
        if step.is_on(switch):
            column = F.regexp_replace(column, pattern, "")
    if step.is_on("collapseConsecutiveWhitespace"):
        column = F.regexp_replace(column, r"(\s)\s+", "$1")
    return column


def _any_of(characters: str) -> str:
    return "[" + "".join("\\" + c if not c.isalnum() and c.isascii() else c for c in characters) + "]"


def _ends(one: str) -> str:
    return f"^{one}+|{one}+$"


def _capitals(column: Column) -> Column:
    return F.initcap(column)


def _trimmed(column: Column) -> Column:
    return F.regexp_replace(column, _ends(r"\s"), "")


_Expression = Callable[[Column, Step], Column]

#: Operations that change a column in its place.
_CHANGES: Mapping[str, _Expression] = {
    "UPPER_CASE": lambda c, _: F.upper(c),
    "LOWER_CASE": lambda c, _: F.lower(c),
    "CAPITAL_CASE": lambda c, _: _capitals(c),
    "ADD_PREFIX": lambda c, s: F.concat(F.lit(s.parameters["pattern"]), c),
    "ADD_SUFFIX": lambda c, s: F.concat(c, F.lit(s.parameters["pattern"])),
    "ADD_SINGLE_QUOTES": lambda c, _: F.concat(F.lit("'"), c, F.lit("'")),
    "ADD_DOUBLE_QUOTES": lambda c, _: F.concat(F.lit('"'), c, F.lit('"')),
    "REPLACE_TEXT": lambda c, s: F.regexp_replace(c, s.parameters["pattern"], s.parameters["value"]),
    "REMOVE_COMBINED": _remove_combined,
    "FILL_WITH_CUSTOM": lambda c, s: F.when(is_missing(c), F.lit(s.parameters["value"])).otherwise(c),
    "FILL_WITH_EMPTY": lambda c, _: F.when(is_missing(c), F.lit("")).otherwise(c),
    "FILL_WITH_NULL": lambda c, _: F.lit(None).cast("string"),
}

#: Operations that make a new column of an existing one.
_MADE: Mapping[str, _Expression] = {
    "TRIM": lambda c, _: _trimmed(c),
    "UPPER": lambda c, _: F.upper(c),
    "LOWER": lambda c, _: F.lower(c),
    "PROPER": lambda c, _: _capitals(c),
    "REMOVE_WHITESPACE": lambda c, _: F.regexp_replace(c, r"\s", ""),
    "EXTRACT_PATTERN": lambda c, s: F.regexp_extract(c, f"({s.parameters['pattern']})", 1),
    "DUPLICATE": lambda c, _: c,
}

_MET: Mapping[str, Callable[[Column, Condition], Column]] = {
    "IS": lambda c, x: c.isin(list(x.values)),
    "IS_NOT": lambda c, x: ~c.isin(list(x.values)),
    "CONTAINS": lambda c, x: c.contains(x.values[0]),
    "NOT_CONTAINS": lambda c, x: ~c.contains(x.values[0]),
    "STARTS_WITH": lambda c, x: c.startswith(x.values[0]),
    "NOT_STARTS_WITH": lambda c, x: ~c.startswith(x.values[0]),
    "ENDS_WITH": lambda c, x: c.endswith(x.values[0]),
    "NOT_ENDS_WITH": lambda c, x: ~c.endswith(x.values[0]),
    "LESS_THAN": lambda c, x: c.cast("double") < float(x.values[0]),
    "LESS_THAN_EQUAL": lambda c, x: c.cast("double") <= float(x.values[0]),
    "GREATER_THAN": lambda c, x: c.cast("double") > float(x.values[0]),
    "GREATER_THAN_EQUAL": lambda c, x: c.cast("double") >= float(x.values[0]),
    "IS_MISSING": lambda c, _: is_missing(c),
}


def _check_columns(df: DataFrame, step: Step) -> None:
    parameters = step.parameters
    present = [c for c in df.columns if not c.startswith("_")]
    named = [parameters["sourceColumn"]] if "sourceColumn" in parameters else step.columns("sourceColumns")
    named += [c.column for c in step.conditions]
    if unknown := [c for c in named if c not in present]:
        raise step.error(f"there is no column {', '.join(unknown)}. There are: {', '.join(present)}")
    target = parameters.get("targetColumn")
    if target is not None and (target in df.columns or target.startswith("_")):
        raise step.error(f"it would make a column {target}, which is there already or begins with '_'. Choose another")


def _check_pattern(df: DataFrame, step: Step) -> None:
    """Lets Java, which will run the pattern, judge it before any row is read."""
    pattern = step.parameters["pattern"]
    jvm = df.sparkSession._jvm
    if jvm is None:
        return  # a Spark Connect client has no JVM at hand; the pattern fails when it runs
    try:
        groups = jvm.java.util.regex.Pattern.compile(pattern).matcher("").groupCount()
    except IllegalArgumentException as error:
        reason = str(error).splitlines()[0]
        raise step.error(f'the pattern "{pattern}" is no regular expression: {reason}. Correct it') from error
    named = [int(n) for n in re.findall(r"(?<!\\)\$([0-9])", step.parameters.get("value", ""))]
    if unknown := [n for n in named if n > groups]:
        raise step.error(f"its value names group ${unknown[0]}, the pattern has {groups}. Write a dollar sign as \\$")


def main(argv: list[str]) -> None:
    """Runs one dataset's recipe over its input folder. Arguments: ``--dataset``, ``--recipes s3://…/recipes/``.

    The output folder is replaced, as the DataBrew job's is.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--recipes", required=True, help="folder of the recipe files")
    # The name goes into the metrics' file name, and several datasets' recipes run side by side.
    dataset = parser.parse_known_args(argv)[0].dataset
    job = lake.start(f"recipe_{dataset}", argv, parser)
    contract = job.contracts[dataset]
    if contract.recipe is None:
        raise ContractError(f"contract '{dataset}' names no recipe: add the customProperty recipe, or do not run one")
    file = f"{contract.recipe}.json"
    steps = parse_recipe(file, read_text(f"{job.options.recipes.rstrip('/')}/{file}"))
    given = job.spark.read.parquet(job.lake.recipe_folder(dataset, "in"))
    result = apply_recipe(given, steps)
    wanted = [f.name for f in landing_schema(contract)]
    if lost := [c for c in wanted if c in given.columns and c not in result.columns]:
        raise RecipeError(
            f"recipe {file} leaves out {', '.join(lost)}, which contract '{dataset}' describes. "
            "Remove the DELETE or RENAME step, or the column from the contract"
        )
    out = job.lake.recipe_folder(dataset, "out")
    result.write.mode("overwrite").option("compression", "snappy").parquet(out)
    counts = {"given": given.count(), "kept": job.spark.read.parquet(out).count()}
    job.write_metrics({dataset: counts})


if __name__ == "__main__":
    main(sys.argv[1:])
