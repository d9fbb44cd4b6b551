"""How a control link sends what the echo sends back to back: back to back.

Owns: the one socket option that decides it. Refuses: the data links, whose congestion control is an operator's choice.

BBR spaces packets by the rate that it has seen so far, and CUBIC leaves slow start as soon as a burst queues up: both
would have the echo measure them rather than the line, by a factor of five where the round trip is long. Reno
(RFC 5681), which every Linux has, sends what the window allows at once. A control link says so little otherwise
that it makes no difference to other traffic.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Final

_RENO: Final = b"reno"


def unpaced(sock: socket.socket) -> None:
    """Have a TCP socket, and those accepted from it, send bursts; where that cannot be chosen, nothing changes."""
    with contextlib.suppress(OSError, AttributeError):  # another kind of socket, or of system
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _RENO)
