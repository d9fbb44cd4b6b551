"""One member's control link, and when the member is measured.

``link`` is the control link. ``measure`` measures, ``shares`` says whose turn it is, and ``callback`` tries the
addresses that a member claims.
"""
