"""Control messages as JSON text, and which fields older programs do not know.

Owns: the functions that turn messages into text and back, and the list of later fields. Refuses: anything larger than
``MAX_MESSAGE`` bytes, and what ``messages`` refuses; whatever it is given, only ``RemoteProtocolError`` comes of it.

Since unknown ones are refused, a field or kind that came later (``LATER``) is sent only to a side that knows it: each
says which ones it knows in a header of the opening handshake (``LATER_HEADER``), which a program from before
that header neither sends nor reads.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.messages import CoordinatorMessage, MemberMessage

MAX_MESSAGE: Final = 256 * 1024

_T = TypeVar("_T")
_FROM_MEMBER: Final[TypeAdapter[MemberMessage]] = TypeAdapter(Annotated[MemberMessage, Field(discriminator="kind")])
_FROM_COORDINATOR: Final[TypeAdapter[CoordinatorMessage]] = TypeAdapter(
    Annotated[CoordinatorMessage, Field(discriminator="kind")]
)


LATER_SETTINGS: Final[tuple[str, ...]] = ()
"""Settings of a group that the first programs of protocol version 2 did not have."""
LATER_KINDS: Final = frozenset({"distance-reply", "distance-request", "first-hops", "settings"})
"""Kinds of messages that they did not have."""
LATER: Final = frozenset(
    {
        *LATER_KINDS,
        *(f"{kind}.settings.{name}" for name in LATER_SETTINGS for kind in ("welcome", "settings")),
        "accept.data_version",
        *(f"assign.{peers}.data_version" for peers in ("parent", "standbys.*", "fallbacks.*")),
        *("assign.deposed", "assign.extent", "assign.incarnation", "assign.relieved"),
        "echo-reply.at_us",
        "leaving.reason",
        "ping.extent",
        *("report.asks", "report.untrue"),
        *("report.behind", "report.fed_by", "report.links_failed", "report.asked_in_vain"),
        *("subscribe.data_version", "subscribe.standby"),
        *("welcome.namesakes", "welcome.towards"),
    }
)
"""What the first programs of protocol version 2 did not have: ``kind``, ``kind.field``, or ``kind.field.FIELD``, with
``*`` for each in a list."""
LATER_HEADER: Final = "Overlaycast-Fields"
LATER_TEXT: Final = ", ".join(sorted(LATER))
"""What we say in the header."""


def later_fields(header: str | None) -> frozenset[str]:
    """Return which of our ``LATER`` fields the other side knows, by its header; None: it sent none."""
    return LATER.intersection(name.strip() for name in (header or "").split(","))


def understands(known: AbstractSet[str], message: MemberMessage | CoordinatorMessage) -> bool:
    """Return whether a side that knows these ``LATER`` names knows this kind of message; no other may be sent to it."""
    return message.kind in known or message.kind not in LATER_KINDS


def encode(message: MemberMessage | CoordinatorMessage, known: AbstractSet[str] = LATER) -> str:
    """Return the JSON text of a message, without fields that are None or not ``known`` to the other side."""
    unknown: dict[str, Any] = {}
    for name in LATER - LATER_KINDS - known:
        kind, *path, field = name.replace("*", "__all__").split(".")
        if kind == message.kind:
            within = unknown
            for part in path:
                within = within.setdefault(part, {})
            within[field] = True
    return message.model_dump_json(exclude_none=True, exclude=unknown)


def decode_from_member(text: str | bytes) -> MemberMessage:
    """Return what a member said.

    Raises:
        RemoteProtocolError: not a message, or too large; the text names the field.
    """
    return _decode(_FROM_MEMBER, text)


def decode_from_coordinator(text: str | bytes) -> CoordinatorMessage:
    """Return what the coordinator said.

    Raises:
        RemoteProtocolError: not a message, or too large; the text names the field.
    """
    return _decode(_FROM_COORDINATOR, text)


def _decode(adapter: TypeAdapter[_T], text: str | bytes) -> _T:
    if len(text) > MAX_MESSAGE:
        raise RemoteProtocolError(f"message of {len(text)} bytes; accepted: up to {MAX_MESSAGE}")
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise RemoteProtocolError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
