"""What runs and comparisons leave on the disk as JSON, read back into the models that wrote it.

Owns: the one line that says which file and which field are wrong. A field that is not known any more is ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from overlaycast.errors import ConfigError

_M = TypeVar("_M")


def from_json(model: type[_M], text: str | bytes, where: str) -> _M:
    """Return the model that a JSON text holds.

    Args:
        model: a dataclass.
        text: as ``json.dumps`` writes the dataclass.
        where: what an error names first, such as the file.

    Raises:
        ConfigError: names the field that is missing or wrong.
    """
    try:
        return TypeAdapter(model).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        reason = "required" if first["type"] == "missing" else first["msg"]
        raise ConfigError(f"{where}: {field}: {reason}" if field else f"{where}: {reason}") from None


def read(model: type[_M], file: Path) -> _M:
    """Return the model that a file holds.

    Raises:
        ConfigError: the file cannot be read, or a field is missing or wrong.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    return from_json(model, content, str(file))
