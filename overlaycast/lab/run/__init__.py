"""One run: its processes, its timeline, its end.

Begin with ``runner`` (build, check, run) and ``course`` (members, stream, faults, end). ``timeline`` has the faults,
``carrier`` what differs between the overlay and multicast.
"""
