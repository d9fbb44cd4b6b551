"""Control messages from the wire's own models: accepted ones and wrong ones. Pure.

Owns: which models there are, in each direction, and their schemas. Refuses: to choose when one is said.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel

from overlaycast.wire.messages import CoordinatorMessage, MemberMessage
from overlaycast.wire.text import MAX_MESSAGE
from tests.fuzz.values import Heard, Values, damaged_text

FROM_MEMBER: Final[tuple[type[BaseModel], ...]] = get_args(MemberMessage)
FROM_COORDINATOR: Final[tuple[type[BaseModel], ...]] = get_args(CoordinatorMessage)

_SCHEMAS: Final = {model: model.model_json_schema() for model in (*FROM_MEMBER, *FROM_COORDINATOR)}


def kind_of(model: type[BaseModel]) -> str:
    """Return the message's kind as it travels."""
    return str(model.model_fields["kind"].default)


class Messages:
    """Draws messages, as values and as text."""

    def __init__(self, chance: random.Random, heard: Heard) -> None:
        self._chance = chance
        self._heard = heard

    def accepted(self, model: type[BaseModel], pins: Mapping[str, Any] = {}) -> dict[str, Any]:
        """Return a message of this model; ``pins`` says what fields must be."""
        schema = _SCHEMAS[model]
        drawn = Values(schema.get("$defs", {}), self._chance, self._heard, pins).accepted(schema)
        return {**drawn, "kind": kind_of(model)}

    def wrong(self, model: type[BaseModel], pins: Mapping[str, Any] = {}) -> str | bytes:
        """Return the text of a message of this model with one thing wrong."""
        schema = _SCHEMAS[model]
        message = self.accepted(model, pins)
        if self._chance.random() < 0.25:
            return damaged_text(json.dumps(message), MAX_MESSAGE, self._chance)
        values = Values(schema.get("$defs", {}), self._chance, self._heard, {})
        return json.dumps(values.damaged(message, schema))
