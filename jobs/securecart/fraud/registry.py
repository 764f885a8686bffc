"""Models in the lake: ``s3://<curated>/fraud/models/<version>.json``, and which of them scores.

A model's file never changes. ``champion.json`` names the one in use and is the only thing that is replaced.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from securecart.fraud.model import Model, from_json, to_json
from securecart.objects import exists, read_text, write_text

#: A challenger has to be better by this in average precision: less is noise between two training runs.
MARGIN = 0.005


@dataclass(frozen=True)
class Registry:
    """The models of one curated bucket."""

    bucket: str

    @property
    def _champion(self) -> str:
        return f"s3://{self.bucket}/fraud/models/champion.json"

    def _file(self, version: str) -> str:
        return f"s3://{self.bucket}/fraud/models/{version}.json"

    def champion(self) -> Model | None:
        """The model in use, None before the first. Raises OtherFeaturesError when this code cannot use it."""
        if not exists(self._champion):
            return None
        return from_json(read_text(self._file(json.loads(read_text(self._champion))["version"])))

    def store(self, model: Model) -> None:
        """Keeps a model without using it."""
        write_text(self._file(model.about["version"]), to_json(model))

    def promote(self, version: str) -> None:
        """Makes a stored model the one in use."""
        write_text(self._champion, json.dumps({"version": version}))


def is_better(challenger: float, champion: float | None) -> bool:
    """Whether a challenger's average precision replaces the champion's on the same transactions."""
    return champion is None or challenger >= champion + MARGIN
