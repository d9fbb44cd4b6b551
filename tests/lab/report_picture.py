"""The picture in the README: ``python -m tests.lab.report_picture runs/demo/report.html docs/report.png``.

It shows a report from the tree to all receivers at a glance, 900 pixels wide.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.lab.browser import browser

WIDTH: Final = 900
MARGIN: Final = 10.0
FIRST, LAST = "section:has(#pictures)", "section:has(svg.heat)"


def take(report: Path, picture: Path) -> None:
    """Save the picture of a report."""
    with browser() as page:
        page.emulate(WIDTH)
        page.open(report)
        first, last = page.box(FIRST), page.box(LAST)
        top, bottom = first["y"] - MARGIN, last["y"] + last["height"] + MARGIN
        page.picture(picture, {"x": 0, "y": top, "width": WIDTH, "height": bottom - top})


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
