"""A file that declares groups: by name, each with settings and how long its token is valid.

Owns: its form, and reading it. Refuses: what is done about it (``applying``).

    groups:
      news:
        settings:
          rate_mbit: 8
        token_ttl: 86400
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from overlaycast.document import placed_yaml
from overlaycast.document.parts import Part, only_known
from overlaycast.document.placed_yaml import PlacedYaml
from overlaycast.errors import ConfigError
from overlaycast.wire.group import GroupName, GroupSettings
from overlaycast.wire.views import TokenTtl

STDIN: Final = Path("-")


def _nothing_is_empty(given: Any) -> Any:
    return {} if given is None else given


def _known_settings(given: Any) -> Any:
    return only_known(GroupSettings, _nothing_is_empty(given))


class DeclaredGroup(Part):
    """One group; settings that it does not name are left as they are, or get their defaults if it is made."""

    settings: Annotated[GroupSettings, BeforeValidator(_known_settings)] = GroupSettings()
    token_ttl: TokenTtl | None = None


class DeclaredGroups(Part):
    """The file."""

    groups: dict[GroupName, Annotated[DeclaredGroup, BeforeValidator(_nothing_is_empty)]]


def read(path: Path) -> tuple[PlacedYaml, DeclaredGroups]:
    """Return what the file declares, and where each value stands in it; ``-`` is standard input.

    Raises:
        ConfigError: it cannot be read, or something in it is not accepted; with file and line.
    """
    document = _from_stdin() if path == STDIN else placed_yaml.read(path)
    return document, document.checked(DeclaredGroups)


def _from_stdin() -> PlacedYaml:
    name = Path("stdin")
    try:
        text = sys.stdin.buffer.read(placed_yaml.LIMIT + 1)
        if len(text) > placed_yaml.LIMIT:
            raise ConfigError(f"{name}: larger than {placed_yaml.LIMIT} bytes")
        return placed_yaml.parse(text.decode(), name)
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text: {error.reason}") from None
