"""Tokens as people hand them over: in an option, in the environment, or in a file.

Owns: what a token may look like, and what an error shows of a word that may be one (``shown``). Refuses: to show one;
that none stays in the process list is settled before anything else (``hiding``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from overlaycast.errors import ConfigError
from overlaycast.named_files import read_small
from overlaycast.streams import printable

ACCEPTED: Final = "one word of up to 256 printable ASCII characters"
_LOOKS: Final = re.compile(r"(?<![\w./-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[A-Za-z0-9_-]{24,}(?![\w./-])")
"""What we make: 32 letters, digits, dashes and underscores, or 64. Few other words are so long and have both cases."""


def parse_token(text: str) -> str:
    """Return the token.

    Raises:
        ValueError: it can be none.
    """
    if not (0 < len(text) <= 256 and all("!" <= letter <= "~" for letter in text)):
        raise ValueError(f"accepted is {ACCEPTED}")
    return text


def shown(text: str) -> str:
    """Return a user's words for an error, in one line, without those that look like a token."""
    return printable(_LOOKS.sub("…", text))


def read_token(path: Path, option: str) -> str:
    """Return the token that is alone in a file; white space around it does not count.

    Args:
        option: the option that named the file, for errors.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        return parse_token(read_small(path).strip())
    except OSError as error:
        raise ConfigError(f"{option}: {shown(str(path))}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{option}: {shown(str(path))}: accepted is a file with one token, {ACCEPTED}") from None
