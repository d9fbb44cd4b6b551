"""The wire: one process that carries the frames of all links that the kernel cannot shape (no netem).

Run as ``python -m overlaycast.lab.network.tapwire CONTROL_FD``. Owns: both ends of every link, as descriptors
inherited from the builder (TAPs, or datagram sockets in tests), and one ``Pipe`` per direction. Orders come
on the control socket, one JSON object per line: first the links, then changes; each gets an answer. Refuses: unknown
links and operations, by an answer; no frame can end it. It ends when the control socket does.

What makes it exact: real-time priority where allowed, a timer with 1 ns of slack, no garbage collection, one heap with
the head of every pipe. Frames are released ``EARLY_NS`` before their time, because to wake up and to hand over take
about as long. It records lateness, load and drops: above what one process can carry (some 45 thousand frames a second)
delays grow, and such a run must be marked as invalid.
"""

from __future__ import annotations

import ctypes
import gc
import heapq
import json
import os
import select
import socket
import sys
import time
from random import Random
from typing import Any, Final

from overlaycast.lab.network.pipe import Pipe
from overlaycast.lab.network.timerfd import Timer
from overlaycast.lab.topology.shape import Shape

EARLY_NS: Final = 200_000
_FRAME_LIMIT: Final = 65_550
_READS_IN_A_ROW: Final = 16
_BIN_NS: Final = 10_000
_HALT_NS: Final = 20_000_000  # a frame so late says that the wire had no processor
_TOGETHER_S: Final = 0.02
_MOST_HALTS: Final = 1000
_BINS: Final = 10_000  # lateness is counted in steps of 10 µs up to 100 ms; the maximum is exact
_PR_SET_TIMERSLACK: Final = 29
_LINE_LIMIT: Final = 1 << 20
_SECOND: Final = 1_000_000_000


class Wire:
    """All pipes, their descriptors and the loop."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._unread = b""
        self._pipes: list[Pipe] = []
        self._out: list[int] = []
        self._by_name: dict[tuple[str, str], int] = {}
        self._routes: dict[int, int] = {}  # descriptor that was read -> pipe
        self._heap: list[tuple[int, int]] = []
        self._timer = Timer()
        self._epoll = select.epoll()
        self._armed = 0
        self._begin_account()
        self.priority = ""

    def add(self, spec: dict[str, Any], seed: int) -> None:
        """Add a link: ``{name, a, b, ab, ba}`` with the descriptors of both ends and the shape of both ways."""
        for direction, source, target in (("ab", spec["a"], spec["b"]), ("ba", spec["b"], spec["a"])):
            number = len(self._pipes)
            chance = Random(f"{seed}/{spec['name']}/{direction}")
            self._pipes.append(Pipe(Shape(**spec[direction]), chance))
            self._out.append(target)
            self._by_name[spec["name"], direction] = number
            self._routes[source] = number
            self._epoll.register(source, select.EPOLLIN)

    def run(self) -> None:
        """Carry frames until the control socket ends."""
        control, timer = self._control.fileno(), self._timer.fd
        self._epoll.register(control, select.EPOLLIN)
        self._epoll.register(timer, select.EPOLLIN)
        poll, routes, heap = self._epoll.poll, self._routes, self._heap
        while True:
            self._release()
            head = heap[0][0] - EARLY_NS if heap else 0
            if head != self._armed:
                self._armed = head
                self._timer.set(head)
            for fd, _ in poll():
                pipe = routes.get(fd)
                if pipe is not None:
                    self._read(fd, pipe)
                elif fd == timer:
                    self._timer.clear()
                    self._armed = 0
                elif not self._obey():
                    return

    def _read(self, fd: int, number: int) -> None:
        offer, heap, queue = self._pipes[number].offer, self._heap, self._pipes[number].queue
        clock, read = time.monotonic_ns, os.read
        for _ in range(_READS_IN_A_ROW):
            try:
                frame = read(fd, _FRAME_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                return  # the interface is down just now
            if offer(clock(), frame):
                heapq.heappush(heap, (queue[0][0], number))
        self._release()

    def _release(self) -> None:
        heap, pipes = self._heap, self._pipes
        now = time.monotonic_ns()
        while heap and heap[0][0] <= now + EARLY_NS:
            due, number = heap[0]
            pipe = pipes[number]
            if not pipe.queue or pipe.queue[0][0] != due:
                heapq.heappop(heap)  # left over from before a change
                continue
            self._write(number, pipe.take())
            if pipe.queue:
                heapq.heapreplace(heap, (pipe.queue[0][0], number))
            else:
                heapq.heappop(heap)
            now = time.monotonic_ns()
            if due >= self._since:
                self._record(now - due)
        if now - self._window_start >= _SECOND:
            self._roll(now)

    def _begin_account(self) -> None:
        """Start to count lateness and load anew; frames that were due before do not count."""
        self._late, self._late_max = [0] * (_BINS + 1), 0
        self._halts: list[list[float]] = []
        self._since = time.monotonic_ns()
        self._window_start, self._window_cpu, self._window_frames = self._since, time.process_time_ns(), 0
        self._peak_frames, self._peak_busy = 0.0, 0.0

    def _write(self, number: int, frame: bytes) -> None:
        try:
            os.write(self._out[number], frame)
        except OSError:
            self._pipes[number].dropped_down += 1  # the far interface is down, or takes no more

    def _record(self, late: int) -> None:
        self._window_frames += 1
        if late > self._late_max:
            self._late_max = late
        if late >= _HALT_NS:
            self._halted(time.time(), late / 1e6)
        bin_number = late // _BIN_NS
        self._late[0 if bin_number < 0 else min(bin_number, _BINS)] += 1

    def _halted(self, now: float, late_ms: float) -> None:
        """Note a halt by its end and length; frames that it delayed together are one."""
        if self._halts and now - self._halts[-1][0] < _TOGETHER_S:
            last = self._halts[-1]
            last[:] = now, max(last[1], late_ms)
        elif len(self._halts) < _MOST_HALTS:
            self._halts.append([now, late_ms])

    def _roll(self, now: int) -> None:
        """Close a window of a second or more: remember the busiest."""
        elapsed, cpu = now - self._window_start, time.process_time_ns()
        if elapsed < 2 * _SECOND:  # a longer one was mostly idle and says nothing about load
            self._peak_frames = max(self._peak_frames, self._window_frames * _SECOND / elapsed)
            self._peak_busy = max(self._peak_busy, (cpu - self._window_cpu) / elapsed)
        self._window_start, self._window_cpu, self._window_frames = now, cpu, 0

    def _obey(self) -> bool:
        """Read the control socket and answer. Returns False at its end."""
        try:
            data = self._control.recv(1 << 16)
        except OSError:
            return False
        if not data or len(self._unread) > _LINE_LIMIT:
            return False
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            try:
                answer = self._carry_out(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            self._control.sendall(json.dumps(answer).encode() + b"\n")
        return True

    def _carry_out(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["op"] == "status":
            return {"ok": True, **self.status()}
        if order["op"] == "reset":
            self._begin_account()
            return {"ok": True}
        number = self._by_name[order["link"], order["direction"]]
        pipe = self._pipes[number]
        if order["op"] == "shape":
            pipe.change(Shape(**order["shape"]), time.monotonic_ns())
        elif order["op"] == "down":
            pipe.set_down(bool(order["down"]))
        else:
            raise ValueError(f"no operation {order['op']!r}")
        if pipe.queue:
            heapq.heappush(self._heap, (pipe.queue[0][0], number))
        return {"ok": True, "shape": pipe.shape.as_dict(), "down": pipe.down}

    def status(self) -> dict[str, Any]:
        """Return lateness, load, the counts of frames, and halts: [end, in seconds since 1970, length in ms]."""
        links: dict[str, dict[str, Any]] = {}
        for (name, direction), number in self._by_name.items():
            pipe = self._pipes[number]
            counts = {"shape": pipe.shape.as_dict(), "down": pipe.down, **pipe.counts()}
            links.setdefault(name, {})[direction] = counts
        return {
            "priority": self.priority,
            "frames": sum(self._late),
            "lateness_ms": {"p50": self._quantile(0.5), "p99": self._quantile(0.99), "max": self._late_max / 1e6},
            "peak_frames_per_s": self._peak_frames,
            "peak_busy": self._peak_busy,
            "halts": self._halts,
            "links": links,
        }

    def _quantile(self, share: float) -> float:
        wanted, seen = share * sum(self._late), 0
        for number, count in enumerate(self._late):
            seen += count
            if seen >= wanted:
                return min(number * _BIN_NS, self._late_max) / 1e6
        return 0.0


def take_priority() -> str:
    """Take the best scheduling class that is allowed, and return its name."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # the standard library has no prctl in any version
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        except OSError:
            return "normal"
        return "nice -20"
    return "SCHED_FIFO"


def main() -> None:
    """Serve the control socket whose descriptor is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    first = control.makefile("rb", buffering=0).readline(_LINE_LIMIT * 16)
    order = json.loads(first)
    wire = Wire(control)
    for spec in order["links"]:
        wire.add(spec, order["seed"])
    wire.priority = take_priority()
    gc.collect()
    gc.freeze()
    gc.disable()
    control.sendall(json.dumps({"ok": True, "priority": wire.priority}).encode() + b"\n")
    wire.run()


if __name__ == "__main__":
    main()
