"""YAML that keeps the line of every value, so that an error can name file and line.

Owns: reading one YAML document and turning a validation error into ``file:line: field: what is accepted``.
Refuses: several documents, tags that would build objects, aliases, duplicate keys, and files of more than a megabyte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from overlaycast.errors import ConfigError

LIMIT: Final = 1 << 20

_M = TypeVar("_M", bound=BaseModel)
Field = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class PlacedYaml:
    """One document: plain values, and the line (from 1) of every field.

    Attributes:
        path: where it was read, as the user named it.
        values: the document as plain Python values.
        lines: ``("timeline", 0, "target")`` -> line.
    """

    path: Path
    values: Any
    lines: dict[Field, int]

    def error(self, field: Field, complaint: str) -> ConfigError:
        """Return the error that names ``field`` (or the nearest thing around it) by file and line."""
        known = nearest(field, self.lines)
        name = dotted(field) or "document"
        return ConfigError(f"{self.path}:{self.lines.get(known, 1)}: {name}: {complaint}")

    def checked(self, model: type[_M]) -> _M:
        """Return the document as ``model``.

        Raises:
            ConfigError: the first complaint, in one line.
        """
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            first: dict[str, Any] = dict(error.errors(include_url=False)[0])
            raise self.error((*self._real(first["loc"]), *_beyond(first)), _complaint(first)) from None

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
        if path.stat().st_size > LIMIT:
            raise ConfigError(f"{path}: larger than {LIMIT} bytes")
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> PlacedYaml:
    """Return the document that ``text`` holds; ``path`` is its name in errors."""
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for gigabytes
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ConfigError(f"{path}:{line}: *{event.anchor}: aliases are not accepted")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        raise ConfigError(f"{path}:1: document: empty; accepted is a mapping of fields")
    lines: dict[Field, int] = {}
    _note(root, (), root.start_mark.line + 1, lines, path)
    return PlacedYaml(path, values, lines)


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
    message = str(first["msg"]).removeprefix("Input ")
    return f"{message} (got {first['input']!r:.80})"


def _plain(alternatives: str) -> str:
    return alternatives.replace("'", "").replace(" or ", ", ")
