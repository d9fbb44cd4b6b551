"""Telling the program of a defect that costs one link, one try or one figure, and not the program.

Owns: the way to the program, which is the loop's exception handler. Refuses: to decide what is told, and when it is too
much (``defects``).
"""

from __future__ import annotations

import asyncio


def mishap(error: Exception) -> None:
    """Have this told; the caller goes on."""
    asyncio.get_running_loop().call_exception_handler({"message": "a defect", "exception": error})
