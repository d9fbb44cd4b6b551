"""``overlaycast coordinator``: from options to a serving process, and to its end.

Owns: the order of start and stop, the one line that says where it listens, what the service manager is told, and what
it tells: to read the settings again. Refuses: the work itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from overlaycast.coordinator.bounds.reloading import reloaded
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.state.folder import StateFolder, open_folder
from overlaycast.coordinator.web.listeners import listen_local, listen_tcp
from overlaycast.descriptors import most_descriptors
from overlaycast.discovery.tracer import need_raw_sockets
from overlaycast.errors import ConfigError, MissingError, OverlaycastError
from overlaycast.notify import Service
from overlaycast.settings import Endpoint, load
from overlaycast.streams import patient_stderr

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

log = logging.getLogger(__name__)

FEWEST_DESCRIPTORS: Final = 48
"""Each member is one; half of these are the coordinator's own."""


def main(argv: list[str]) -> int:
    """Run the coordinator until SIGTERM or SIGINT; return 0, or 1 if it failed while running.

    Raises:
        ConfigError: an option, the state folder or the address cannot be used.
        MissingError: no raw sockets, and ``--trace`` was given; too few descriptors.
    """

    def read() -> CoordinatorSettings:
        return load(CoordinatorSettings, argv, "overlaycast coordinator")

    settings = read()
    most_descriptors(FEWEST_DESCRIPTORS, "the coordinator")
    with patient_stderr():
        return _main(settings, read)


def _main(settings: CoordinatorSettings, read: Callable[[], CoordinatorSettings]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    traces = _with_tracing(settings).trace
    folder = open_folder(settings.state)
    try:
        return _serve(settings.model_copy(update={"trace": traces}), folder, _Rereading(settings, read))
    finally:
        folder.close()


def _with_tracing(settings: CoordinatorSettings) -> CoordinatorSettings:
    """Return the settings, without tracing if it cannot be done and was not asked for."""
    if settings.trace is False:
        return settings
    try:
        if settings.trace_socket is None:  # whoever listens there has the privilege
            need_raw_sockets()
    except MissingError as error:
        if settings.trace:
            raise
        print(f"coordinator: no traceroute, members are located by their addresses alone: {error}", file=sys.stderr)
        return settings.model_copy(update={"trace": False})
    return settings.model_copy(update={"trace": True})


class _Rereading:
    """Reads the settings again when told to, and has the parts go on with what may change.

    Args:
        settings: as they were read at the start.
        read: reads them again.
    """

    def __init__(self, settings: CoordinatorSettings, read: Callable[[], CoordinatorSettings]) -> None:
        self._settings = settings
        self._read = read

    def __call__(self, app: FastAPI) -> None:
        """Do it, and say in one line what became of it; settings that are wrong change nothing."""
        try:
            found = reloaded(self._settings, self._read())
        except ConfigError as error:
            print(f"coordinator: settings stay as they are: {error}", file=sys.stderr, flush=True)
            return
        self._settings = found.settings
        app.state.groups.retune(found.settings)
        app.state.door.retune(found.settings)
        print(f"coordinator: {found}", file=sys.stderr, flush=True)


def _serve(settings: CoordinatorSettings, folder: StateFolder, rereading: _Rereading) -> int:
    sockets = [listen_tcp(settings.endpoint)]
    try:
        sockets.append(listen_local(folder.socket))
        return asyncio.run(_run(settings, folder, sockets, rereading))
    finally:
        for sock in sockets:
            sock.close()
        with contextlib.suppress(OSError):
            folder.socket.unlink()


def _on_hangup(act: Callable[[], None]) -> None:
    """SIGHUP is a service manager's word, or the terminal is gone; nohup has it ignored."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)


def _stop(server: uvicorn.Server) -> None:
    if server.started:
        server.handle_exit(signal.SIGTERM, None)
    else:  # uvicorn would leave what has begun as it is
        asyncio.get_running_loop().call_later(0.05, _stop, server)


async def _run(
    settings: CoordinatorSettings, folder: StateFolder, sockets: list[socket.socket], rereading: _Rereading
) -> int:
    # imported after all bad input has been reported: they take seconds
    from overlaycast.coordinator.groups.groups import Groups
    from overlaycast.coordinator.groups.overlays import Overlays
    from overlaycast.coordinator.groups.standing import standing
    from overlaycast.coordinator.web.app import create_app
    from overlaycast.coordinator.web.serving import make_server

    failures: list[BaseException] = []
    service = Service()

    def fail(error: BaseException) -> None:
        # what the world did (a full disk) is one line; what we did wrong says where
        trace = None if isinstance(error, OverlaycastError) else error
        log.critical("a group failed, so the coordinator exits: %s", error, exc_info=trace)
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, folder, Overlays(settings.local_members), fail)
    groups: Groups = app.state.groups

    def closing() -> None:
        service.stopping("told to go, closes its links")
        groups.stop_listening()

    server = make_server(app, settings, closing)
    _on_hangup(lambda: rereading(app) if service.watched else _stop(server))
    where = Endpoint(*sockets[0].getsockname()[:2])
    print(
        f"coordinator: listening on {where} and {folder.socket}; "
        f"admin token in {folder.token_file}; traceroute {'on' if settings.trace else 'off'}",
        file=sys.stderr,
        flush=True,
    )
    following = asyncio.create_task(service.follow(lambda: standing(groups.all(), where, server.started)))
    try:
        await server.serve(sockets=sockets)
    except SystemExit:  # uvicorn's way to say that the application did not start; it has said why
        return 1
    finally:
        following.cancel()
    return 1 if failures else 0
