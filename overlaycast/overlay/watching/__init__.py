"""What members report, and what the coordinator concludes from it (Fig. 7 and 8)."""
