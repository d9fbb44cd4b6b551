"""What is fuzzed follows from the wire's models, so nothing that travels is left out."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from pydantic import BaseModel

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import Decoder, Kind
from overlaycast.wire.text import decode_from_coordinator, decode_from_member
from tests.fuzz.frames import FRAMES, Frames
from tests.fuzz.frames import kind_of as frame_kind
from tests.fuzz.messages import FROM_COORDINATOR, FROM_MEMBER, Messages, kind_of
from tests.fuzz.values import Heard, Values

TRIES = 400


def _accepts(model: type[BaseModel], text: str | bytes) -> bool:
    decode = decode_from_member if model in FROM_MEMBER else decode_from_coordinator
    try:
        return decode(text).kind == kind_of(model)
    except RemoteProtocolError:
        return False


@pytest.mark.parametrize("model", [*FROM_MEMBER, *FROM_COORDINATOR], ids=lambda model: model.__name__)
def test_each_message_is_drawn_as_it_is_accepted_and_as_it_is_not(model: type[BaseModel]) -> None:
    messages = Messages(random.Random(1), Heard())
    right = [_accepts(model, json.dumps(messages.accepted(model))) for _ in range(TRIES)]
    assert sum(right) > TRIES / 10, "hardly any message of this kind gets past the decoder"
    wrong = [_accepts(model, messages.wrong(model)) for _ in range(TRIES)]
    assert not all(wrong)
    assert sum(wrong) < TRIES * 0.7


@pytest.mark.parametrize("model", [*FROM_MEMBER, *FROM_COORDINATOR], ids=lambda model: model.__name__)
def test_each_field_of_a_message_is_drawn_and_is_damaged(model: type[BaseModel]) -> None:
    messages = Messages(random.Random(2), Heard())
    drawn: Counter[str] = Counter()
    for _ in range(TRIES):
        drawn.update(messages.accepted(model).keys())
    assert set(drawn) == set(model.model_fields)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.__name__)
def test_each_frame_is_drawn_as_it_is_accepted_and_as_it_is_not(frame: type[Any]) -> None:
    frames = Frames(random.Random(3), Heard())
    for _ in range(TRIES):
        assert isinstance(Decoder().feed(frames.accepted(frame))[0], frame)
    outcomes = Counter(_decodes(frames.wrong(frame)) for _ in range(TRIES))
    assert outcomes["refused"] > TRIES / 20
    assert outcomes["unfinished"] > TRIES / 100


def _decodes(data: bytes) -> str:
    try:
        return "taken" if Decoder().feed(data) else "unfinished"
    except RemoteProtocolError:
        return "refused"


def test_every_kind_of_frame_has_a_class_that_is_drawn() -> None:
    assert {frame_kind(frame) for frame in FRAMES} == set(Kind)


def test_the_same_seed_draws_the_same() -> None:
    def some() -> list[Any]:
        messages, frames = Messages(random.Random(4), Heard()), Frames(random.Random(5), Heard())
        return [[messages.wrong(model) for model in FROM_MEMBER], [frames.wrong(frame) for frame in FRAMES]]

    assert some() == some()


def test_what_was_heard_is_said_again_under_the_same_name() -> None:
    heard = Heard()
    heard.note({"parent": 77, "peer": {"grant": "ab" * 16}})
    schema = {"type": "object", "required": ["member"], "properties": {"member": {"type": "integer"}}}
    values = Values({}, random.Random(6), heard, {})
    assert Counter(values.accepted(schema)["member"] for _ in range(100))[77] > 50
    assert heard.pick("grant", random.Random(7)) == "ab" * 16
