"""``report.html``: one self-contained file that shows what happened in a run."""
