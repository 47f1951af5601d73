"""Message formats, pure: text and bytes to values and back, no sockets and no session."""
