"""The hand: what works on a real host for the time of a run, in one file that a controller carries there.

It needs nothing but Python 3.11 and systemd. It is carried anew for each run, so it always fits the controller; what is
installed on the host may be older. It imports no package beside this one, and nothing above it.
"""
