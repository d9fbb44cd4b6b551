"""The JSON Schema of experiment files, for editors and for CI: ``experiments/schema.json``. Pure.

Owns: how the models become a schema. Invariant: what the schema refuses, ``experiment.parse`` refuses too; some of what
is wrong (a host that the topology does not have) no schema can know.

A file names it in its first line, ``# yaml-language-server: $schema=schema.json``, and editors then complete and check.
"""

from __future__ import annotations

import json
from typing import Any, Final

from overlaycast.lab.experiment.experiment import Experiment
from overlaycast.lab.results.metrics import METRICS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema of an experiment's file."""
    found = Experiment.model_json_schema()
    parts = found["$defs"]
    parts["Expectation"]["properties"]["metric"] = {
        "title": "Metric",
        "oneOf": [{"const": name, "description": metric.words} for name, metric in METRICS.items()],
    }
    return {"$schema": DIALECT, "title": "An overlaycast experiment", **found}


def text() -> str:
    """Return the schema as its file holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
