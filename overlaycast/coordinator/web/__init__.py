"""What the coordinator serves: HTTP for tools, WebSockets for members, and the bounds on both.

``http`` has the routes for tools, ``door`` the members' WebSocket, ``app`` puts them together.
"""
