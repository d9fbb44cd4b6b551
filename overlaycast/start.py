"""Where the installed command ``overlaycast`` begins: a token among its words is hidden before anything else is done.

Owns: that order. Refuses: all else (``cli``).
"""

from __future__ import annotations

import sys

from overlaycast.hiding import hide_token


def main() -> int:
    """Run one command and return its exit code."""
    hide_token(sys.argv[1:])
    from overlaycast import cli

    return cli.main()
