"""Networks as data: routers, hosts, links, addresses and routes.

``loading`` reads a file, ``topology`` is the checked network, ``routedtopo`` the class that topology files derive from.
"""
