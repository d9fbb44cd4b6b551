"""What all tests share."""

from __future__ import annotations

import asyncio

from hypothesis import settings

# Without this pytest-asyncio asks for "the" event loop where there is none yet, which makes one that no code ever
# closes; the garbage collector then finds it in the middle of some test, and blames that.
asyncio.set_event_loop(None)

# No test passes or fails by the clock of a busy machine.
settings.register_profile("overlaycast", deadline=None)
settings.load_profile("overlaycast")
