"""A token that was given as ``--token`` does not stay where every user of the host can read it.

Owns: which of a command's words is a token, and how it gets out of the process list. Imports next to nothing, so that
it is done before anything else (``start``). Refuses: what a token may look like (``tokens``).
"""

from __future__ import annotations

import os
import sys

_TAKE_A_TOKEN = ("send", "join", "relay")


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
