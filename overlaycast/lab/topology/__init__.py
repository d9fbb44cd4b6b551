"""Networks as data: routers, hosts, links, addresses and routes."""
