"""What travels: control messages (JSON over WebSocket) and data frames (binary over TCP). Imports no other package."""
