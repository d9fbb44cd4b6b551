"""What stands on a terminal while Ansible works."""

from __future__ import annotations

import io
import re

from rich.console import Console

from overlaycast.deploy.progress import Progress
from overlaycast.deploy.screen import Hosts, style, table
from overlaycast.live import LiveLines
from tests.deploy.golden import golden


def test_lines_stay_above_a_table_of_hosts_that_goes_at_the_end() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, height=20, color_system=None)
    progress = Progress()
    with LiveLines(console, Hosts(console, progress)) as shown:
        for one in golden("failed-units"):
            for line in progress.hear(one):
                shown.line(line, style(line))
        shown._live.refresh()
        during = written.getvalue()
    assert re.search(r" s    viewer: Start the member, now and at each start of the host", during)
    assert re.search(r" s  ! studio: Wait for each unit: overlaycast-send@news.service is failed", during)
    last = during[during.rindex("Wait until every member is fed") :].splitlines()
    assert [line.split() for line in last[1:4]] == [
        ["server", "done"],
        ["studio", "failed", "Wait", "for", "each", "unit"],
        ["viewer", "failed", "Wait", "for", "each", "unit"],
    ]
    assert written.getvalue().endswith("\x1b[2K"), "the table is wiped off"


def test_markup_of_a_name_is_no_markup() -> None:
    console = Console(width=100, color_system=None)
    progress = Progress()
    progress.play = "[bold]A play[/bold]"
    with console.capture() as shown:
        console.print(Hosts(console, progress)())
    assert "[bold]A play[/bold]" in shown.get()


def test_a_table_has_columns_of_one_width() -> None:
    assert table(("HOST", "ENDED"), [("a-long-name", "done"), ("b", "")]) == "HOST         ENDED\na-long-name  done\nb"
