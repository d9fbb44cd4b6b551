"""Choosing a command by its name, for ``overlaycast``, ``overlaycast group`` and ``overlaycast lab``.

pydantic-settings' ``CliApp`` and ``CliSubCommand`` are not used for it: they need the settings of every command before
the first word is read, so that ``overlaycast --help`` would import them all, and they drop a command's exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from overlaycast.errors import ConfigError
from overlaycast.tokens import shown


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        about: what it does, in a line.
        run: takes the arguments after the command's name, and returns an exit code or None for 0.
    """

    about: str
    run: Callable[[list[str]], int | None]


def imported(function: str) -> Callable[[list[str]], int]:
    """Return a command's ``module:function``, which is imported only when it is run."""
    module, _, name = function.partition(":")
    return lambda argv: int(getattr(import_module(module), name)(argv))


def dispatch(prog: str, commands: Mapping[str, Command], argv: list[str], about: str = "") -> int:
    """Run the command that the first argument names, or print what commands there are; return the exit code.

    Args:
        prog: how the dispatcher is called.
        commands: by name.
        argv: the command's name and its arguments.
        about: what the commands are for.

    Raises:
        ConfigError: there is no such command; and what the command itself raises.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(prog, commands, about))
        return 0 if argv else 2
    if argv[0] not in commands:
        raise ConfigError(f"{prog}: no command {shown(argv[0])!r}; accepted: {', '.join(commands)}")
    return commands[argv[0]].run(argv[1:]) or 0


def usage(prog: str, commands: Mapping[str, Command], about: str) -> str:
    """Return the help text of a dispatcher."""
    width = max(map(len, commands))
    rows = "\n".join(f"  {name:<{width}}  {command.about}" for name, command in commands.items())
    intro = f"{about}\n\n" if about else ""
    hint = f"'{prog} COMMAND --help' lists a command's options."
    return f"usage: {prog} COMMAND [options]\n\n{intro}commands:\n{rows}\n\n{hint}"
