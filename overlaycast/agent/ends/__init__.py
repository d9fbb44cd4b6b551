"""The two ends of a stream: the source that feeds the ring and the outputs that drain it."""
