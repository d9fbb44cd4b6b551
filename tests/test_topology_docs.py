"""docs/topologies.md: its example is a topology, its table lists every file, and its words are those of the class."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from overlaycast.lab.routedtopo import RoutedTopo
from overlaycast.lab.topology.loading import load_topology

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "topologies.md").read_text()


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "two_sites.py"
    file.write_text(example)
    topology = load_topology(file)
    assert topology.sites == ("office", "home")
    assert [nat.router for nat in topology.nats] == ["box"]
    assert topology.link("core-box").ba.rate_mbit == 10
    assert not topology.reaches("source", "tv")


def test_every_topology_and_no_other_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(file.name for file in (ROOT / "topologies").glob("*.py"))


def test_every_word_is_explained() -> None:
    table = PAGE.partition("| word | takes |")[2].partition("\n\n")[0]
    for word in (RoutedTopo.router, RoutedTopo.host, RoutedTopo.link):
        names = set(inspect.signature(word).parameters) - {"self", "a", "b", "name"}
        assert {name for name in names if not re.search(rf"\b{name}\b", table)} == set()
