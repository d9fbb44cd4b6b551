"""Values for a JSON schema: accepted ones, often at its bounds, and damaged ones. Pure: a seed decides.

Owns: what can be wrong with a value. Refuses: to know any message; the schemas are those of the wire models and of the
coordinator's OpenAPI, so a new message or field is here by itself.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Final

Schema = Mapping[str, Any]

SAME: Final = {"parent": "member", "child": "member", "now_from": "member", "standbys_ready": "member"}
"""Fields with other names that mean the same."""
MOST_ITEMS: Final = 6
_HUGE: Final = 300_000
_PIECE: Final = re.compile(r"(\[(?:[^\]\\]|\\.)+\]|\\?[^\[\]{}])(?:\{(\d+)(?:,(\d+))?\})?")
_WORDS: Final = (
    "",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "fe80::1%eth0",
    "fe80::1%" + "z" * 40,
    "localhost",
    "no-such-host.invalid",
    ".",
    "a..b",
    "-",
    "xn--",
    "a" * 64,
    "1e3",
    "\0",
    "\x1b[31m",
    "\r\nX: y",
    "ä" * 32,
    "‮",
    "𝄞" * 20,
)
_NUMBERS: Final = (
    -(1 << 63) - 1,
    -1,
    0,
    1,
    255,
    256,
    65_535,
    65_536,
    (1 << 31) - 1,
    1 << 32,
    1 << 53,
    (1 << 63) - 1,
    1 << 63,
    1 << 64,
    10**30,
    -0.0,
    0.5,
    1e-320,
    1e308,
)
_OTHERS: Final[tuple[Any, ...]] = (
    None,
    True,
    [],
    {},
    [[]],
    {"a": 1},
    [None] * 100,
    "x" * 5000,
    float("nan"),
    float("inf"),
)


class Heard:
    """What was said so far, by the name of the field; so the next message can be about the same things.

    Args:
        counts: how often each kind of answer was heard, for the whole campaign.
    """

    def __init__(self, counts: Counter[str] | None = None) -> None:
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._values: dict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=12))

    def note(self, value: Any, name: str = "") -> None:
        """Keep every scalar in ``value`` under the name of its field."""
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.note(part, str(key))
        elif isinstance(value, list | tuple):
            for part in value[:16]:
                self.note(part, name)
        elif value is not None and name and not (isinstance(value, str) and len(value) > 256):
            self._values[SAME.get(name, name)].append(value)

    def pick(self, name: str, chance: random.Random) -> Any:
        """Return something said under this name, or None."""
        values = self._values.get(SAME.get(name, name))
        return chance.choice(values) if values else None


class Values:
    """Draws values.

    Args:
        definitions: what ``$ref`` refers to.
        heard: what fields of the same name have held.
        pins: what a field must be, by name.
    """

    def __init__(
        self, definitions: Mapping[str, Schema], chance: random.Random, heard: Heard, pins: Mapping[str, Any]
    ) -> None:
        self._definitions = definitions
        self._chance = chance
        self._heard = heard
        self._pins = pins

    def accepted(self, schema: Schema, name: str = "") -> Any:
        """Return a value that the schema accepts; what no schema can say may still be wrong."""
        if name in self._pins:
            return copy.deepcopy(self._pins[name])
        schema = self._plain(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chance.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema, name)
        if kind == "null":
            return None
        return self._scalar(schema, name)

    def damaged(self, value: Any, schema: Schema) -> Any:
        """Return a copy of ``value`` with one thing wrong in it."""
        whole = [copy.deepcopy(value)]
        spots = list(_spots(whole))
        parent, key = self._chance.choice(spots)
        how = self._chance.random()
        if how < 0.15 and isinstance(parent, MutableMapping):
            del parent[key]
        elif how < 0.25 and isinstance(parent[key], MutableMapping):
            parent[key]["unheard-of"] = 1
        else:
            parent[key] = self._beyond(schema, str(key))
        return whole[0]

    def _beyond(self, schema: Schema, name: str) -> Any:
        limits = [limit for limit in _limits(self._plain(schema), self._definitions) if limit[0] == name]
        values: list[Any] = [*_NUMBERS, *_WORDS, *_OTHERS]
        for _, kind, bound in limits:
            if kind == "number":
                values += [bound - 1, bound, bound + 1] * 8
            elif bound < _HUGE:
                values += ["x" * (bound + 1), [1] * (bound + 1)] * 8
        return self._chance.choice(values)

    # --- by type -----------------------------------------------------------------------------------------------

    def _plain(self, schema: Schema) -> Schema:
        while True:
            if "$ref" in schema:
                schema = self._definitions[schema["$ref"].rsplit("/", 1)[1]]
            elif "anyOf" in schema or "oneOf" in schema:
                schema = self._chance.choice(schema.get("anyOf") or schema["oneOf"])
            elif "allOf" in schema:
                schema = schema["allOf"][0]
            else:
                return schema

    def _object(self, schema: Schema) -> dict[str, Any]:
        needed = schema.get("required", ())
        fields: dict[str, Any] = {}
        for name, field in schema.get("properties", {}).items():
            if name in needed or name in self._pins or "const" in field or self._chance.random() < 0.4:
                value = self.accepted(field, name)
                if value is not None:
                    fields[name] = value
        return fields

    def _array(self, schema: Schema, name: str) -> list[Any]:
        most = schema.get("maxItems", MOST_ITEMS)
        length = most if self._chance.random() < 0.02 else self._chance.randint(0, min(most, MOST_ITEMS))
        length = max(length, schema.get("minItems", 0))
        if length > MOST_ITEMS:
            return [self.accepted(schema["items"], name)] * length
        return [self.accepted(schema["items"], name) for _ in range(length)]

    def _scalar(self, schema: Schema, name: str) -> Any:
        known = self._heard.pick(name, self._chance)
        if known is not None and self._chance.random() < 0.8:
            return known
        kind = schema.get("type", "string")
        if kind == "boolean":
            return self._chance.random() < 0.5
        if kind in ("integer", "number"):
            return self._number(schema, kind)
        return self._text(schema)

    def _number(self, schema: Schema, kind: str) -> float:
        step = 1 if kind == "integer" else 1e-3
        low = schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else schema.get("minimum", 0)
        high = schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else schema.get("maximum", 1 << 53)
        near = min(high, low + 1000)
        if kind == "integer":
            return self._chance.choice(
                (low, min(low + 1, high), high, high - 1, self._chance.randint(int(low), int(near)))
            )
        return float(self._chance.choice((low, high, self._chance.uniform(low, near), self._chance.uniform(low, high))))

    def _text(self, schema: Schema) -> str:
        if "pattern" in schema:
            return self._matching(schema["pattern"])
        least, most = schema.get("minLength", 0), schema.get("maxLength", 200)
        if self._chance.random() < 0.5:
            fitting = [word for word in _WORDS if least <= len(word) <= most]
            if fitting:
                return self._chance.choice(fitting)
        length = self._chance.choice((least, most if self._chance.random() < 0.2 else least + 8))
        return "".join(self._chance.choices("abcXYZ019._-", k=min(length, most)))

    def _matching(self, pattern: str) -> str:
        text, at, body = "", 0, pattern.removeprefix("^").removesuffix("$")
        while at < len(body):
            found = _PIECE.match(body, at)
            if found is None:
                raise ValueError(f"pattern {pattern!r}: teach {__name__} to read it")
            at = found.end()
            least = int(found[2] or 1)
            most = int(found[3] or least)
            length = self._chance.choice((least, most, self._chance.randint(least, most)))
            text += "".join(self._chance.choices(_letters(found[1]), k=length))
        return text


def _letters(piece: str) -> str:
    return "".join(chr(code) for code in range(32, 127) if re.fullmatch(piece, chr(code)))


def _spots(whole: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a value, as the container and the key or index in it."""
    if isinstance(whole, MutableMapping):
        keys: list[Any] = list(whole)
    elif isinstance(whole, MutableSequence):
        keys = list(range(min(len(whole), 8)))
    else:
        return
    for key in keys:
        yield whole, key
        yield from _spots(whole[key])


def _limits(
    schema: Schema, definitions: Mapping[str, Schema], name: str = "", depth: int = 0
) -> Iterator[tuple[str, str, Any]]:
    """Yield the bounds that a schema states, with the field's name and whether they bound a number or a length."""
    if depth > 8:
        return
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if bound in schema:
            yield name, "number", schema[bound]
    for bound in ("maxLength", "maxItems"):
        if bound in schema:
            yield name, "length", schema[bound]
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _limits(part, definitions, name, depth + 1)
    if "items" in schema:
        yield from _limits(schema["items"], definitions, name, depth + 1)
    for field, part in schema.get("properties", {}).items():
        yield from _limits(part, definitions, field, depth + 1)


def damaged_text(text: str, most: int, chance: random.Random) -> str | bytes:
    """Return ``text``, which was JSON of at most ``most`` bytes, with something wrong that no value can say."""
    at = chance.randrange(len(text) + 1)
    return chance.choice(
        (
            "",
            text[:at],
            text[:at] + chance.choice('\0"{}[],:\\\x7f ') + text[at:],
            text + text,
            text.replace("{", '{"kind":"?",', 1),
            "[" * 20_000,
            '{"a":' * 20_000,
            "9" * 5_000,
            '{"kind":' + "1" * 5_000 + "}",
            '"\\ud800"',
            "null",
            "NaN",
            json.dumps([text] * 3),
            text + " " * (most - len(text)),
            text + " " * most,
            text.encode(),
            bytes(chance.randbytes(chance.randrange(200))),
            b"\xff\xfe" + text.encode("utf-16-le"),
        )
    )
