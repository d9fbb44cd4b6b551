"""The shell around the brain: authenticates, measures, carries messages, keeps state. It decides nothing."""
