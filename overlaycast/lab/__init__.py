"""The testbed: experiments on emulated networks, with the real programs, a verdict and a report.

``commands.run`` begins a run, ``run.course`` is its course, ``analysis.judge`` concludes, and ``report.page`` shows the
result. What a file may say is in ``experiment`` and ``faults``; what a network is, in ``topology``; how it is built, in
``network``.
"""
