"""The life of one client: its states, its tasks, its place in the registry.

Knows handlers and the transport protocol; imports no transport and no server.
"""
