"""The program around ``overlay``: it authenticates, measures, carries messages and keeps state. It decides nothing."""
