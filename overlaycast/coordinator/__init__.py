"""The shell around the brain (``overlay``): authenticates, measures, carries messages, keeps state. Decides nothing."""
