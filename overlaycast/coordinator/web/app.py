"""The coordinator as an ASGI application: puts its parts together and gives each a beginning and an end.

Owns: what is opened and closed, in which order. Refuses: everything else; see ``http`` for tools, ``door`` for members.
OpenAPI is at ``/docs``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, WebSocket

from overlaycast import __version__
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.groups.groups import Groups
from overlaycast.coordinator.groups.protocol import OverlayMaker
from overlaycast.coordinator.members.callback import Callbacks
from overlaycast.coordinator.members.measure import Measurer
from overlaycast.coordinator.state.folder import StateFolder
from overlaycast.coordinator.state.journal import open_journal
from overlaycast.coordinator.state.secret import hash_of
from overlaycast.coordinator.state.store import Store
from overlaycast.coordinator.web.bodies import BoundedBodies
from overlaycast.coordinator.web.door import Door
from overlaycast.coordinator.web.http import admin_routes, open_routes, say_errors_in_one_line
from overlaycast.coordinator.web.upkeep import upkeep_routes
from overlaycast.discovery.client import TraceClient

log = logging.getLogger(__name__)


def _log_failure(error: BaseException) -> None:
    log.critical("a group's loop failed", exc_info=error)


def create_app(
    settings: CoordinatorSettings,
    folder: StateFolder,
    maker: OverlayMaker,
    on_failure: Callable[[BaseException], None] = _log_failure,
) -> FastAPI:
    """Return the coordinator on an open state folder. ``app.state.groups`` are its groups.

    Args:
        settings: bounds, journal, whether to trace.
        folder: open and locked; the caller closes it.
        maker: how overlays are made.
        on_failure: called with the error when a group's loop fails; the caller then ends the process.

    Raises:
        ConfigError: the state or the journal cannot be used.
    """
    journal = open_journal(settings.journal)
    store = Store(folder.database)
    tracer = TraceClient(socket=settings.trace_socket) if settings.trace else None
    measurer, callbacks = Measurer(tracer, settings.measure_at_once), Callbacks(settings.allow_local)
    groups = Groups(settings, store, maker, measurer, callbacks, journal, on_failure)
    groups.bring_back()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(store.close)
            stack.callback(journal.close)
            if tracer is not None:
                stack.push_async_callback(tracer.close)
                await tracer.start()
            await stack.enter_async_context(groups.running())
            yield

    app = FastAPI(title="overlaycast coordinator", version=__version__, lifespan=lifespan)
    app.state.groups = groups
    app.state.admin_token_hash = hash_of(folder.admin_token)
    app.add_middleware(BoundedBodies)
    say_errors_in_one_line(app)
    app.include_router(open_routes)
    app.include_router(admin_routes)
    app.include_router(upkeep_routes)
    door = app.state.door = Door(groups, settings)

    async def member(socket: WebSocket) -> None:
        """One member's control link."""
        await door.serve(socket)

    app.add_api_websocket_route("/v1/member", member)
    return app
