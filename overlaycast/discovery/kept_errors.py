"""How a host without privilege hears of ICMP errors: the kernel keeps them for the UDP socket that caused them.

Owns: the names that Python's ``socket`` lacks, and the shape of what is kept (IP_RECVERR, ip(7) and ipv6(7); Linux's
linux/in.h, linux/in6.h and linux/errqueue.h). Refuses: what an error means.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

LEVEL: Final = {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
"""By IP version: the level of options and of what comes with an error."""
RECVERR: Final = {4: 11, 6: 25}
"""By IP version: the option that has errors kept, and what they come as."""
IP_RECVTTL: Final = 12
ERROR: Final = struct.Struct("=IBBBBII")
"""``sock_extended_err``: errno, origin, type, code, padding, info, data; the address of who sent it follows."""
FROM_ICMP: Final = {4: 2, 6: 3}
"""By IP version: the origin of errors that came from the network (``SO_EE_ORIGIN_ICMP``, ``SO_EE_ORIGIN_ICMP6``)."""
