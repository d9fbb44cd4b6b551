"""The exceptions that cross packages. Each says whose fault it was, and a user sees its text in one line.

``exit_code`` is what the command line returns for it: 1 by default, 2 bad input or settings or refused by the
coordinator, 3 this machine lacks something.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final


class OverlaycastError(Exception):
    """Anything that overlaycast raises on purpose."""

    exit_code = 1


class ConfigError(OverlaycastError):
    """Bad input or settings. The text names the place, the field and what is accepted."""

    exit_code = 2


class MistakesError(ConfigError):
    """Several mistakes in one input. The text is the first one; ``all`` has each of them."""

    def __init__(self, all_: Sequence[ConfigError]) -> None:
        """Take at least one; the same line is said once."""
        by_text = {str(one): one for one in all_}
        super().__init__(next(iter(by_text)))
        self.all: Final = tuple(by_text.values())


def each(error: ConfigError) -> tuple[ConfigError, ...]:
    """Return every mistake that an error tells of."""
    return error.all if isinstance(error, MistakesError) else (error,)


class LocalProtocolError(OverlaycastError):
    """Our own side broke the protocol: a defect."""


class RemoteProtocolError(OverlaycastError):
    """The other side broke the protocol. Close that link, and only that link."""


class RefusedError(OverlaycastError):
    """The other side understood and said no; asking again unchanged will not help.

    Args:
        code: machine-readable reason, one of ``wire.messages.RefusalCode``.
        reason: one line for people.
    """

    exit_code = 2

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class LabError(OverlaycastError):
    """The testbed could not build, prove or run a network. Never a verdict on the system under test, nor bad input."""


class MissingError(LabError):
    """This machine lacks something. The text names it and how to get it."""

    exit_code = 3


def in_one_line(error: BaseException) -> str:
    """Return what an exception says, for people; one that is a defect of ours with its kind and place."""
    text = " ".join(str(error).split())
    if isinstance(error, OverlaycastError) and not isinstance(error, LocalProtocolError):
        return text
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f" ({'/'.join(Path(frames[0].filename).parts[-2:])}:{frames[0].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text:.300}{place}"


def exit_code(command: Callable[[], int]) -> int:
    """Run a command and return its exit code. An error becomes one line on standard error, Ctrl-C becomes 130."""
    try:
        return command()
    except OverlaycastError as error:
        text = str(error)
        if not error.exit_code:
            return 0
        # an error in settings begins with the command's full name
        print(text if text.startswith(("overlaycast ", "overlaycast:")) else f"overlaycast: {text}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader of our output (`| head`) closed it; Python would complain again when it closes stdout
        sys.stderr.close()
        return 0
