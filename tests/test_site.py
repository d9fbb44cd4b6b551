"""The docs as one site: it builds without a warning, and no page asks another host for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(https?:)?//|<link[^>]*\shref=["']?(https?:)?//|@import|url\(["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    done = subprocess.run(
        build, cwd=ROOT, env={"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_docs_is_in_it(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if not (site / page).exists()] == []


def test_no_page_loads_from_elsewhere(site: Path) -> None:
    assert [page.name for page in site.rglob("*.html") if LOADED.search(page.read_text())] == []


def test_it_can_be_searched_without_a_server(site: Path) -> None:
    assert "standby" in (site / "search" / "search_index.js").read_text()
    assert "assets/iframe-worker.js" in (site / "operate.html").read_text()


@pytest.mark.parametrize("name", ["docs/ALGORITHM.md", "docs/operate.md", "CONTRIBUTING.md"])
def test_items_have_the_numbers_that_the_page_gives_them(site: Path, name: str) -> None:
    page = (site / Path(name).name).with_suffix(".html").read_text()
    shown: list[int] = []
    for start, items in re.findall(r'<ol(?: start="(\d+)")?>(.*?)</ol>', page, re.DOTALL):
        first = int(start or 1)
        shown += range(first, first + items.count("<li>"))
    assert shown == [int(number) for number in re.findall(r"^(\d+)\. ", (ROOT / name).read_text(), re.MULTILINE)]
