"""Tells ``inside`` which tests were selected, and makes what machines need while there is a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.base_tree import NotHere, base_tree, missing
from tests.deploy.machines import Machines
from tests.deploy.versions import artefact
from tests.lab import inside


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called when all plugins have deselected what they will."""
    inside.select(items)


@pytest.fixture(scope="session")
def made() -> None:
    """The base tree and the artefact, made outside of the test's namespaces, where other hosts can be reached."""
    if is_isolated():
        return
    if os.geteuid() != 0:
        pytest.skip("only root can start machines")
    if lacking := missing():
        pytest.skip(f"{', '.join(lacking)} missing; install with: scripts/setup --tests")
    try:
        base_tree()
    except NotHere as why:
        pytest.skip(str(why))
    artefact()


@pytest.fixture(scope="module")
def machines(made: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines | None]:
    """Machines of a file's tests; none outside of its namespaces."""
    if not is_isolated():
        yield None
        return
    with ExitStack() as ends:
        try:
            them = ends.enter_context(Machines(tmp_path_factory.mktemp("machines") / "of"))
        except NotHere as why:
            pytest.skip(str(why))
        yield them
