"""From journals and counters to figures and a verdict."""
