"""The program around ``overlay``: it authenticates, measures, carries messages and keeps state. It decides nothing.

Begin with ``groups.driver``, the loop of one group: message in, ``overlay``, messages out. A member comes in by
``web.door``, and its control link is ``members.link``. ``command`` starts and stops it all.
"""
