"""The records of one group: members, tree, locations, measurements (Fig. 6).

``group`` holds them all; ``members`` and ``tree`` are the ones that everything else reads.
"""
