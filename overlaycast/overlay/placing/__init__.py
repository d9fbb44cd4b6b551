"""Choosing a parent for one member or for many at once (Fig. 4 and 5).

One: ``placement.attach_to_best`` asks ``search`` for the best parent, and knows what to do if there is none. Many:
``many.attach_all`` plans by clusters (``clusters``) which feeds which (``levels``, ``exchange``), then attaches by it.
"""
