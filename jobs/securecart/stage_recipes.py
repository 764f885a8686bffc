"""Fills the recipe jobs' input folders for a replay or a backfill, whose batches were extracted by earlier runs.

An extraction fills them itself, so an ordinary run does without this job.
"""

from __future__ import annotations

import sys

from securecart import lake
from securecart.recipe_input import recipe_batches, stage_recipe_input


def main(argv: list[str]) -> None:
    """Stages the input of every recipe of the plan from the landing batches that the plan reads."""
    job = lake.start("stage_recipes", argv)
    for dataset in job.plan["recipes"]:
        folder = job.lake.recipe_folder(dataset, "in")
        stage_recipe_input(job.spark, recipe_batches(job.plan, dataset), folder, job.contracts[dataset])
    job.write_metrics({})


if __name__ == "__main__":
    main(sys.argv[1:])
