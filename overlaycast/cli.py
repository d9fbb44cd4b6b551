"""The one entry point, ``overlaycast COMMAND …``: finds the command's package and imports only that. The installed
command comes here by way of ``start``.

Owns: the list of commands. An error becomes one line on stderr and an exit code (``errors``); README.md lists them.
The coordinator and members run until SIGINT or SIGTERM, and return 0 if they could end properly (``agent.departure``).
"""

from __future__ import annotations

import sys
from typing import Final

from overlaycast import __version__
from overlaycast.descriptors import out_of_descriptors_is_one_line
from overlaycast.dispatch import Command, dispatch, imported
from overlaycast.errors import exit_code
from overlaycast.hiding import hide_token
from overlaycast.streams import careful_stdout, reserve

ABOUT: Final = """\
Application-layer multicast by client forwarding. 'overlaycast --version' prints the version."""
COMMANDS: Final = {
    "coordinator": Command(
        "run the control plane: authenticate, measure and place members",
        imported("overlaycast.coordinator.command:main"),
    ),
    "send": Command(
        "run a source: send a file or standard input to a group", imported("overlaycast.agent.command:send")
    ),
    "join": Command(
        "run a peer: receive a group, and forward it to other members", imported("overlaycast.agent.command:join")
    ),
    "relay": Command(
        "run a server that only forwards; with --backup, only where a forwarder has failed",
        imported("overlaycast.agent.command:relay"),
    ),
    "group": Command(
        "create, change, show and delete groups; print their trees and events",
        imported("overlaycast.admin.command:main"),
    ),
    "trace": Command("print the router path to a host", imported("overlaycast.discovery.command:main")),
    "deploy": Command(
        "install, look at, upgrade and remove overlaycast on hosts of an inventory, through Ansible",
        imported("overlaycast.deploy.command:main"),
    ),
    "lab": Command("run experiments on emulated networks", imported("overlaycast.lab.commands.lab:main")),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    reserve()
    if argv is None:
        argv = sys.argv[1:]
        hide_token(argv)
    return exit_code(lambda: _main(argv))


def _main(words: list[str]) -> int:
    with careful_stdout(), out_of_descriptors_is_one_line():
        if words and words[0] in ("--version", "-V"):
            print(f"overlaycast {__version__}")
            return 0
        return dispatch("overlaycast", COMMANDS, words, ABOUT)


if __name__ == "__main__":
    sys.exit(main())
