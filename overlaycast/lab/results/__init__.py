"""``result.json``: its model, its metrics, its outcome."""
