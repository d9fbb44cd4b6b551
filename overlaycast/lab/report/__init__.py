"""What a run tells people: ``report.html``, one self-contained file, and the same in words at the terminal.

``page`` puts the report together. Its parts: the tree (``picture``, ``tree_frames``), all receivers at a glance
(``heat``), each over time (``charts``), figures as dots (``dots``), and the sentences (``words``).
"""
