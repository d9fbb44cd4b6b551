"""Settings of a group as words of a command line: KEY=VALUE.

Owns: what is said of a wrong one. Refuses: what is done with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from overlaycast.errors import ConfigError
from overlaycast.tokens import shown
from overlaycast.wire.group import GroupSettings


def given_settings(pairs: Sequence[str], where: str) -> GroupSettings:
    """Return the settings that these words give; ``model_fields_set`` has their names.

    Args:
        where: what errors begin with: the command and its option.

    Raises:
        ConfigError: one is none, or not accepted.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"{where}: {shown(pair)}: accepted: KEY=VALUE")
        values[key.strip().replace("-", "_")] = value.strip()
    unknown = sorted(set(values) - set(GroupSettings.model_fields))
    if unknown:
        accepted = ", ".join(GroupSettings.model_fields)
        raise ConfigError(f"{where}: {shown(unknown[0])}: unknown setting; accepted: {accepted}")
    try:
        return GroupSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{where}: {first['loc'][0]}: {first['msg']} (got {first['input']!r:.80})") from None
