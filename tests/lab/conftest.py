"""Tells ``inside`` which tests were selected."""

from __future__ import annotations

import pytest

from tests.lab import inside


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called when all plugins have deselected what they will."""
    inside.select(items)
