"""Data frames from the wire's own classes: accepted ones, and bytes with one thing wrong. Pure.

Owns: what can be wrong with a frame. Refuses: to choose when one is said.
"""

from __future__ import annotations

import random
import typing
from enum import IntEnum
from typing import Any, Final

from overlaycast.errors import LocalProtocolError, RemoteProtocolError
from overlaycast.wire.frames import (
    BACK,
    BACK_LIMIT,
    DIGEST_SIZE,
    EDGE,
    GRANT_SIZE,
    HEADER,
    HEADER_SIZE,
    IDLE,
    MAX_RECORD,
    OLDEST,
    SEQ_LIMIT,
    VERSION,
    Decoder,
    Frame,
    Kind,
    encode,
)
from tests.fuzz.values import Heard

FRAMES: Final[tuple[type[Any], ...]] = typing.get_args(Frame)
_MARKS: Final = (
    0,
    1,
    2,
    SEQ_LIMIT - 2,
    SEQ_LIMIT - 1,
    SEQ_LIMIT,
    BACK,
    BACK + 1,
    BACK + BACK_LIMIT,
    IDLE,
    EDGE,
    OLDEST,
)
_SIZES: Final = (1, GRANT_SIZE, DIGEST_SIZE, 188, 1316, MAX_RECORD)
_MASKS: Final = ((1 << 64) - 1, (1 << 63) - 1, (1 << 32) - 1, (1 << 16) - 1, (1 << 8) - 1)


def kind_of(frame: type[Any]) -> Kind:
    """Return the first byte of a frame of this class."""
    return Kind[frame.__name__.upper()]


_HINTS: Final = {frame: typing.get_type_hints(frame) for frame in FRAMES}


def _encodes(frame: type[Any], given: dict[str, Any]) -> bool:
    try:
        encode(frame(**given))
    except LocalProtocolError:
        return False
    return True


def _fits_of(frame: type[Any]) -> dict[str, Any]:
    """Return what each field of a frame has room for: the bits of a number, the sizes of bytes."""
    fits: dict[str, Any] = {}
    plain: dict[type[Any], Any] = {int: 1, bool: False}
    base = {
        name: plain[hint] if hint in plain else hint(1) for name, hint in _HINTS[frame].items() if hint is not bytes
    }
    for name in (name for name, hint in _HINTS[frame].items() if hint is bytes):
        fits[name] = [size for size in _SIZES if _encodes(frame, {**base, name: bytes(size)})]
        base[name] = bytes(fits[name][0])
    for name in (name for name, hint in _HINTS[frame].items() if hint is int):
        fits[name] = next(mask for mask in _MASKS if _encodes(frame, {**base, name: mask}))
    return fits


_FITS: Final = {frame: _fits_of(frame) for frame in FRAMES}


def _bytes_of(text: str) -> bytes:
    """Return what hexadecimal digits say; anything else as it is: what was heard may be wrong itself."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode(errors="replace")


class Frames:
    """Draws frames, as bytes."""

    def __init__(self, chance: random.Random, heard: Heard) -> None:
        self._chance = chance
        self._heard = heard

    def accepted(self, frame: type[Any], **pins: Any) -> bytes:
        """Return a frame of this class that decodes; ``pins`` says what its fields are."""
        while True:
            data = self._drawn(frame, pins)
            try:
                Decoder().feed(data)
            except RemoteProtocolError:
                continue
            return data

    def wrong(self, frame: type[Any], **pins: Any) -> bytes:
        """Return the bytes of a frame of this class with one thing wrong, or at a bound."""
        data = bytearray(self.accepted(frame, **pins))
        how = self._chance.randrange(7)
        if how < 3:
            return self._with_field(data)
        if how == 3:
            at = self._chance.randrange(len(data))
            data[at] ^= 1 << self._chance.randrange(8)
        elif how == 4:
            at = self._chance.randrange(0, max(1, len(data) - 8), 8)
            data[at : at + 8] = self._chance.choice(_MARKS).to_bytes(8, "big")
        elif how == 5:
            return bytes(data[: self._chance.randrange(len(data))])
        else:
            data += self._chance.randbytes(self._chance.choice((1, 23, 24, 100)))
        return bytes(data)

    def _with_field(self, data: bytearray) -> bytes:
        """One field of the header at a bound or beyond."""
        header = list(HEADER.unpack_from(data))
        widths = (8, 8, 16, 32, 64, 64)
        field = self._chance.randrange(len(header))
        most = (1 << widths[field]) - 1
        near = (header[field] - 1) & most, (header[field] + 1) & most
        marks = (*near, 0, 1, most, most - 1, most >> 1, MAX_RECORD & most, (MAX_RECORD + 1) & most, SEQ_LIMIT & most)
        header[field] = self._chance.choice((*marks, max(Kind) + 1))
        return HEADER.pack(*header) + bytes(data[HEADER_SIZE:])

    def _drawn(self, frame: type[Any], pins: dict[str, Any]) -> bytes:
        fits = _FITS[frame]
        given = dict(pins)
        for name, hint in _HINTS[frame].items():
            if name not in pins:
                value, fit = self._value(name, hint), fits.get(name)
                if hint is int and fit is not None:
                    value &= fit
                elif hint is bytes and fit is not None and len(value) not in fit:
                    value = self._chance.randbytes(self._chance.choice(fit))
                given[name] = value
        return encode(frame(**given))

    def _value(self, name: str, hint: Any) -> Any:
        if isinstance(hint, type) and issubclass(hint, IntEnum):
            return self._chance.choice(list(hint))
        if hint is bool:
            return self._chance.random() < 0.3
        known = self._heard.pick(name, self._chance)
        if hint is bytes:
            if isinstance(known, str) and len(known) == 2 * GRANT_SIZE and self._chance.random() < 0.8:
                return _bytes_of(known)
            return self._chance.randbytes(self._chance.choice(_SIZES))
        if name == "version":
            return VERSION if self._chance.random() < 0.9 else self._chance.choice((0, 2, 255))
        if isinstance(known, int) and self._chance.random() < 0.7:
            return max(0, known + self._chance.choice((0, 0, 1, -1, 1000)))
        return self._chance.choice((*_MARKS, self._chance.getrandbits(20)))
