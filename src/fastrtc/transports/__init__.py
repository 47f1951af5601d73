"""Bytes to sessions and back. Nothing here knows what a handler is."""
