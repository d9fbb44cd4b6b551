"""TCP connections to parents and children, and how their bytes enter and leave the ring.

Up: ``uplink`` does what ``failover`` decides, on one ``parent_link`` for each parent. Down: ``downstream`` has the
children, ``door`` lets them in, and each has a ``child_link``.
"""
