"""Which groups there are, and the loop that drives each."""
