"""The two ends of a stream: the source that feeds the ring and the outputs that drain it.

A source: ``source_feed`` begins, ``media`` reads, ``source`` pumps. A receiver: ``output`` opens, ``sink`` writes, and
``entered`` counts.
"""
