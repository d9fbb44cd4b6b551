"""The overlay: which member feeds which, decided without a clock, without chance and without I/O.

``Overlay`` (overlay.py) is the one object that drivers call; ``Measurement`` and ``Event`` are its vocabulary.
The other modules own one idea each and share the state of one group, ``group.Group``.
"""

from overlaycast.overlay.overlay import Overlay
from overlaycast.overlay.state.group import Event
from overlaycast.overlay.state.measurement import Measurement

__all__ = ["Event", "Measurement", "Overlay"]
