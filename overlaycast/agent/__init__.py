"""The node: receives records from a parent, keeps them in one ring, and forwards them to its children.

Begin with ``node``: the parts of one member, and what it does with orders and records. Around it are the program
(``agent``), its control link (``control``), its options, and its end (``departure``). The parts are in the packages
below: ``hops`` (connections), ``records`` (the ring), ``ends`` (input and output), ``files``, ``rates``.
"""
