"""A second Ctrl-C, or ``timeout`` whose signal comes twice: nothing is waited for, and all is kept and said as ever."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import pytest

from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.state.folder import open_folder
from overlaycast.coordinator.state.store import Store
from overlaycast.coordinator.web.app import create_app
from overlaycast.coordinator.web.listeners import listen_tcp
from overlaycast.coordinator.web.serving import make_server
from overlaycast.settings import Endpoint
from tests.coordinator.fake_overlay import FakeMaker


async def test_two_signals_close_the_groups_like_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CoordinatorSettings.model_construct(
        **{name: field.default for name, field in CoordinatorSettings.model_fields.items()} | {"trace": False}
    )
    folder = open_folder(tmp_path / "state")
    app = create_app(settings, folder, FakeMaker(), lambda error: None)
    closed: list[str] = []
    server = make_server(app, settings, lambda: closed.append("links"))
    close = Store.close

    def closing(store: Store) -> None:
        close(store)
        closed.append("state")

    monkeypatch.setattr(Store, "close", closing)
    with caplog.at_level(logging.WARNING):
        serving = asyncio.create_task(server.serve(sockets=[listen_tcp(Endpoint("127.0.0.1", 0))]))
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        server.handle_exit(signal.SIGINT, None)
        server.handle_exit(signal.SIGINT, None)
        await serving
    assert closed == ["links", "state"]
    assert not caplog.records
    folder.close()
