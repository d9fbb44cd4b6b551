"""What a run keeps: journals and samples, as read from disk."""
