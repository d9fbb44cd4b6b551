"""Every command of overlaycast with its options, read off the programs themselves, for man pages and completion.

Owns: asking each command for its help, and keeping the parser that would have printed it. Refuses: words of its own.
Whatever a command's model declares is found, so a new command or option needs nothing here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from overlaycast import dispatch, settings
from overlaycast.cli import ABOUT, COMMANDS


@dataclass(frozen=True, slots=True)
class Option:
    """One option, or one word that stands without an option (``flags`` is empty then).

    Attributes:
        flags: as ``--output``; of a switch also ``--no-output``.
        value: what stands for its value; None: it has none.
        choices: all the values there are; empty: any.
        about: one line.
    """

    flags: tuple[str, ...]
    value: str | None
    choices: tuple[str, ...]
    about: str
    required: bool
    repeated: bool

    @property
    def is_path(self) -> bool:
        """Is its value a file or a folder?"""
        return self.value in ("PATH", "FILE", "EXPERIMENTS", "OUTPUT") or "--output" in self.flags


@dataclass(frozen=True, slots=True)
class Described:
    """One command: either it has options, or commands of its own.

    Attributes:
        words: how it is called, ``overlaycast`` first.
        about: one line.
        text: what its help says before the options.
    """

    words: tuple[str, ...]
    about: str
    text: str
    options: tuple[Option, ...] = ()
    commands: tuple[Described, ...] = ()

    def all(self) -> Iterator[Described]:
        """Yield this one and all below it."""
        yield self
        for command in self.commands:
            yield from command.all()


class _HelpError(Exception):
    """A command was asked for its help: here is what it would print."""

    def __init__(self, parser: argparse.ArgumentParser | None, commands: Mapping[str, dispatch.Command]) -> None:
        super().__init__()
        self.parser = parser
        self.commands = commands


def _parser(parser: argparse.ArgumentParser, *_: Any) -> None:
    raise _HelpError(parser, {})


def _usage(prog: str, commands: Mapping[str, dispatch.Command], about: str) -> str:
    raise _HelpError(None, commands)


def overlaycast() -> Described:
    """Return the whole program."""
    text = ABOUT.splitlines()[0]
    with (
        mock.patch.object(settings._Parser, "print_help", _parser),
        mock.patch.object(dispatch, "usage", _usage),
    ):
        below = tuple(_describe(("overlaycast", name), command) for name, command in COMMANDS.items())
    return Described(("overlaycast",), text.partition(". ")[0].rstrip("."), text, commands=below)


def _describe(words: tuple[str, ...], command: dispatch.Command) -> Described:
    try:
        command.run(["--help"])
    except _HelpError as told:
        if told.parser is not None:
            text = " ".join((told.parser.description or "").split())
            return Described(words, command.about, text, tuple(_options(told.parser)))
        below = tuple(_describe((*words, name), one) for name, one in told.commands.items())
        return Described(words, command.about, "", commands=below)
    raise AssertionError(f"{' '.join(words)} --help prints nothing")


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        about = " ".join((action.help or "").replace("%%", "%").split())
        value = None
        if action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction):
            value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        choices = tuple(value[1:-1].split(",")) if value and value.startswith("{") else ()
        yield Option(
            tuple(action.option_strings),
            value,
            choices,
            _with_default(about, action),
            "(required)" in about or (not action.option_strings and action.nargs in (None, "+")),
            action.nargs in ("+", "*"),
        )


def _with_default(about: str, action: argparse.Action) -> str:
    return about.replace("%(default)s", str(action.default))
