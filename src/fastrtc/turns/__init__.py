"""Who speaks: voice activity, turns, end of turn by meaning.

Decisions and models only. Nothing here sends, plays or calls user functions; models run in threads
of their own, and all else is pure.
"""
