"""Run the command in the arguments in isolation, as the command line does."""

from __future__ import annotations

import os
import sys

from overlaycast.errors import OverlaycastError
from overlaycast.lab.network.isolation import run_isolated

if __name__ == "__main__":
    try:
        sys.exit(run_isolated(sys.argv[1:], grace_s=float(os.environ.get("TEST_GRACE_S", "20"))))
    except OverlaycastError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
