"""``overlaycast group …``: administration of groups over the coordinator's HTTP API.

Begin with ``command``; ``apply`` is in ``applying``, ``drain`` and ``rebalance`` in ``upkeep``.
"""
