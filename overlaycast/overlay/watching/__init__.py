"""What members report, and what the coordinator concludes from it (Fig. 7 and 8).

Begin with ``watch`` (reports and complaints), ``inquiries`` (which of two has failed) and ``start`` (a group begins).
"""
