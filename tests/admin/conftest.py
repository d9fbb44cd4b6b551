"""Commands of ``overlaycast group`` with a coordinator in the same process: a busy machine may be late."""

from __future__ import annotations

import pytest

from overlaycast.admin import request


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands wait for a coordinator that shares its time with the test, and with all other tests."""
    monkeypatch.setattr(request, "_TIMEOUT_S", 60.0)
