"""Tokens as people hand them over: in an option, in the environment, or in a file.

Owns: what a token may look like, that it does not stay where every user of the host can read it (``without_token``),
and what an error shows of a word that may be one (``shown``). Refuses: to show one.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

from overlaycast.errors import ConfigError

ACCEPTED: Final = "one word of up to 256 printable ASCII characters"
_LOOKS: Final = re.compile(r"(?<![\w./-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[A-Za-z0-9_-]{24,}(?![\w./-])")
"""What we make: 32 letters, digits, dashes and underscores, or 64. Few other words are so long and have both cases."""
_TAKE_A_TOKEN: Final = ("send", "join", "relay")


def parse_token(text: str) -> str:
    """Return the token.

    Raises:
        ValueError: it can be none.
    """
    if not (0 < len(text) <= 256 and all("!" <= letter <= "~" for letter in text)):
        raise ValueError(f"accepted is {ACCEPTED}")
    return text


def shown(text: str) -> str:
    """Return a user's words for an error, without those that look like a token."""
    return _LOOKS.sub("…", text)


def read_token(path: Path, option: str) -> str:
    """Return the token that is alone in a file; white space around it does not count.

    Args:
        option: the option that named the file, for errors.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        return parse_token(path.expanduser().read_text().strip())
    except OSError as error:
        raise ConfigError(f"{option}: {shown(str(path))}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{option}: {shown(str(path))}: accepted is a file with one token, {ACCEPTED}") from None


def without_token(words: list[str]) -> tuple[list[str], str | None]:
    """Return a command's words without ``--token``, and the token if there was one."""
    if not words or words[0] not in _TAKE_A_TOKEN:
        return words, None
    kept: list[str] = []
    token = None
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":  # what follows is no option, whatever it looks like
            return [*kept, word, *rest], token
        if name == "--token-file":
            return words, None  # settings decide about both
        if name != "--token":
            kept.append(word)
        elif (token := value if equals else next(rest, None)) is None or token == "--":
            return words, None
    return kept, token


def hide_token(words: list[str]) -> None:
    """Start this program again, as the same process, if a token is among its words: the environment has it then.

    Other users of the host see the words of a process (``ps``), but not its environment.
    """
    kept, token = without_token(words)
    if token is not None:
        before = sys.orig_argv[: len(sys.orig_argv) - len(words)]
        os.environ["OVERLAYCAST_TOKEN"] = token
        os.environ.pop("OVERLAYCAST_TOKEN_FILE", None)  # a flag is stronger
        os.execv(sys.executable, [*before, *kept])
