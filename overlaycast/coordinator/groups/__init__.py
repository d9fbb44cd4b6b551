"""Which groups there are, and the loop that drives each.

Begin with ``groups`` (which there are, and who may be a member) and ``driver`` (the loop).
"""
