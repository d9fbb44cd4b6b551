"""What the coordinator serves: HTTP for tools, WebSockets for members, and the bounds on both."""
