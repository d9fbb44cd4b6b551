"""The records of one group: members, tree, locations, measurements (Fig. 6)."""
