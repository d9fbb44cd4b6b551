"""``result.json``: its model (``result``), its metrics (``metrics``), its outcome (``outcome``)."""
