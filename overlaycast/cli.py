"""The one entry point, ``overlaycast COMMAND …``: finds the command's room and imports only that.

Owns: the list of commands, and what an error becomes: one line on stderr and an exit code (0 all well; 1 an
expectation failed; 2 bad input or settings; 3 this machine lacks something; 130 after Ctrl-C). Programs that run until
they are told to end (coordinator, members) take SIGINT and SIGTERM as that, and return 0.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

from overlaycast import __version__
from overlaycast.errors import exit_code
from overlaycast.streams import careful_stdout, reserve

# command -> (what it does, module:function). A function takes the arguments after the command and returns an exit code.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "coordinator": (
        "run the control plane: authenticate, measure and place members",
        "overlaycast.coordinator.command:main",
    ),
    "send": ("run a source: send a file or standard input to a group", "overlaycast.agent.command:send"),
    "join": ("run a peer: receive a group, and forward it to other members", "overlaycast.agent.command:join"),
    "relay": (
        "run a server that only forwards; --backup: only for failed forwarders",
        "overlaycast.agent.command:relay",
    ),
    "group": ("create, list, show, draw and delete groups", "overlaycast.admin:main"),
    "trace": ("print the router path to a host", "overlaycast.discovery.command:main"),
    "lab": ("run experiments on emulated networks", "overlaycast.lab.commands.lab:main"),
}


def usage() -> str:
    """Return the text of ``overlaycast --help``."""
    rows = "\n".join(f"  {name:<12} {what}" for name, (what, _) in COMMANDS.items())
    return (
        "usage: overlaycast COMMAND [options]\n\n"
        "Application-layer multicast by client forwarding.\n\n"
        f"commands:\n{rows}\n\n"
        "'overlaycast COMMAND --help' lists a command's options. 'overlaycast --version' prints the version."
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    reserve()
    return exit_code(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(words: list[str]) -> int:
    with careful_stdout():
        return _run(words)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] in ("--version", "-V"):
        print(f"overlaycast {__version__}")
        return 0
    if words[0] not in COMMANDS:
        print(f"overlaycast: no command {words[0]!r}; accepted: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, function = COMMANDS[words[0]][1].split(":")
    return int(getattr(import_module(module), function)(words[1:]))


if __name__ == "__main__":
    sys.exit(main())
