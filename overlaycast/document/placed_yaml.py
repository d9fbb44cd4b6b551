"""YAML that keeps the line of every value, so that an error can name file and line.

Owns: reading one YAML document and turning a validation error into ``file:line: field: what is accepted``.
Refuses: several documents, tags that would build objects, aliases, duplicate keys, and files of more than a megabyte.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from overlaycast.errors import ConfigError, MistakesError
from overlaycast.named_files import read_bytes

LIMIT: Final = 1 << 20
DEPTH: Final = 50
"""Levels of lists and mappings within one another."""
ACCEPTED: Final = {
    "tuple_type": "a list is accepted",
    "list_type": "a list is accepted",
    "dict_type": "a mapping is accepted",
    "int_type": "a whole number is accepted",
    "int_parsing": "a whole number is accepted",
    "int_from_float": "a whole number is accepted",
    "float_type": "a number is accepted",
    "float_parsing": "a number is accepted",
    "string_type": "a text is accepted",
    "bool_type": "true or false is accepted",
    "bool_parsing": "true or false is accepted",
}
"""What a value of another kind is told, in words of YAML; by pydantic's name of the mistake."""

_M = TypeVar("_M", bound=BaseModel)
Field = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class PlacedYaml:
    """One document: plain values, and the line (from 1) of every field.

    Attributes:
        path: where it was read, as the user named it.
        values: the document as plain Python values.
        lines: ``("timeline", 0, "target")`` -> line.
        kept: list -> the numbers that its items have in the file, where wrong ones were left out.
    """

    path: Path
    values: Any
    lines: dict[Field, int]
    kept: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def error(self, field: Field, complaint: str) -> ConfigError:
        """Return the error that names ``field`` (or the nearest thing around it) by file and line."""
        field = self._in_file(field)
        known = nearest(field, self.lines)
        name = dotted(field) or "document"
        return ConfigError(f"{self.path}:{self.lines.get(known, 1)}: {name}: {complaint}")

    def _in_file(self, field: Field) -> Field:
        if len(field) > 1 and isinstance(field[1], int) and field[0] in self.kept:
            return (field[0], self.kept[str(field[0])][field[1]], *field[2:])
        return field

    def checked(self, model: type[_M]) -> _M:
        """Return the document as ``model``.

        Raises:
            MistakesError: all complaints, each in one line.
        """
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            complaints: list[dict[str, Any]] = [dict(one) for one in error.errors(include_url=False)]
            # a list of which every item is wrong is not empty
            items = {one["loc"][0] for one in complaints if len(one["loc"]) > 1}
            complaints = [one for one in complaints if one["type"] != "too_short" or one["loc"][0] not in items]
            first = {(*self._real(one["loc"]), *_beyond(one)): one for one in reversed(complaints)}
            raise MistakesError([self.error(path, _complaint(first[path])) for path in reversed(first)]) from None

    def without_wrong(self, model: type[BaseModel]) -> Self:
        """Return the document without what ``model`` refuses: unknown fields, wrong items of lists, else whole fields.

        What is left can be checked further, and may be refused for other reasons; without any progress it is itself.
        """
        try:
            model.model_validate(self.values)
        except ValidationError as error:
            wrong = [self._wrong(dict(one)) for one in error.errors(include_url=False)]
        else:
            return self
        left = deepcopy(self.values)
        kept = {name: list(self.kept.get(name, range(len(items)))) for name, items in _lists(left)}
        shortened: set[str] = set()
        # from the last one on, so that the numbers of those before stay
        for path in sorted({path for path in wrong if path}, key=_in_order, reverse=True):
            around = left
            for part in path[:-1]:
                around = around[part]
            if _has(around, path[-1]):
                del around[path[-1]]
                if len(path) == 2 and isinstance(path[1], int):
                    del kept[str(path[0])][path[1]]
                    shortened.add(str(path[0]))
        return replace(self, values=left, kept=self.kept | {name: tuple(kept[name]) for name in shortened})

    def _wrong(self, complaint: dict[str, Any]) -> Field:
        """Return the path of what to leave out."""
        found = (*self._real(complaint["loc"]), *_beyond(complaint))
        if str((complaint.get("ctx") or {}).get("complaint")).startswith("unknown field"):
            return found
        in_list = len(found) > 1 and isinstance(found[1], int)
        return found[: 2 if in_list else 1]

    def _real(self, loc: Sequence[str | int]) -> Field:
        """Drop what pydantic adds to a location (tags of unions, names of validators)."""
        here: Any = self.values
        real: list[str | int] = []
        for part in loc:
            if _has(here, part):
                here = here[part]
                real.append(part)
        return tuple(real)


def read(path: Path) -> PlacedYaml:
    """Return the document in ``path``.

    Raises:
        ConfigError: not there, not readable, too large, not YAML.
    """
    try:
        text = read_bytes(path, LIMIT).decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> PlacedYaml:
    """Return the document that ``text`` holds; ``path`` is its name in errors."""
    try:
        _refuse_what_grows(text, path)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:  # not what its tag says, no date, too long
        raise ConfigError(f"{path}: not YAML: a value that cannot be read: {error}") from None
    if root is None:
        raise ConfigError(f"{path}:1: document: empty; accepted is a mapping of fields")
    lines: dict[Field, int] = {}
    _note(root, (), root.start_mark.line + 1, lines, path)
    return PlacedYaml(path, values, lines)


def _refuse_what_grows(text: str, path: Path) -> None:
    """Refuse aliases, a few of which can stand for gigabytes, and depth, which costs more than its length.

    Raises:
        ConfigError: there is one; that the rest is YAML is not said.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{path}:{line}: *{event.anchor}: aliases are not accepted")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise ConfigError(f"{path}:{line}: more than {DEPTH} levels")


def dotted(field: Field) -> str:
    """Return a field's name as people write it: ``timeline[0].target``."""
    text = ""
    for part in field:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(field: Field, lines: dict[Field, int]) -> Field:
    """Return the longest beginning of ``field`` that has a line."""
    while field and field not in lines:
        field = field[:-1]
    return field


def _note(node: yaml.Node, field: Field, line: int, lines: dict[Field, int], path: Path) -> None:
    lines[field] = line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*field, str(key.value))
            if inner in lines:
                raise ConfigError(f"{path}:{key.start_mark.line + 1}: {dotted(inner)}: given twice")
            _note(value, inner, key.start_mark.line + 1, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note(value, (*field, index), value.start_mark.line + 1, lines, path)


def _in_order(path: Field) -> tuple[tuple[bool, str | int], ...]:
    return tuple((isinstance(part, int), part) for part in path)


def _lists(values: Any) -> list[tuple[str, list[Any]]]:
    fields = values.items() if isinstance(values, dict) else ()
    return [(str(name), value) for name, value in fields if isinstance(value, list)]


def _has(here: Any, part: str | int) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)


def _beyond(first: dict[str, Any]) -> Field:
    """Return the field that a complaint about a mapping is really about."""
    context = first.get("ctx") or {}
    if first["type"] == "missing":
        return (first["loc"][-1],)
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return (str(context["discriminator"]).strip("'"),)
    return (str(context["field"]),) if "field" in context else ()


def _complaint(first: dict[str, Any]) -> str:
    kind, context = str(first["type"]), first.get("ctx") or {}
    if kind in ("missing", "union_tag_not_found"):
        return "required"
    if kind == "union_tag_invalid":
        return f"{context['tag']!r} is unknown; accepted: {_plain(str(context['expected_tags']))}"
    if kind == "literal_error":
        return f"{first['input']!r} is unknown; accepted: {_plain(str(context['expected']))}"
    if kind == "field_error":
        return str(context["complaint"])
    message = ACCEPTED.get(kind) or str(first["msg"]).removeprefix("Input ")
    return f"{message} (got {first['input']!r:.80})"


def _plain(alternatives: str) -> str:
    return alternatives.replace("'", "").replace(" or ", ", ")
