"""``result.json`` and what else runs leave behind."""
