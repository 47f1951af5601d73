"""What users subclass or pass: handler classes, functions, and what these may return.

Nothing here awaits a session, owns a task or carries bytes; the runner calls what is here.
"""
