"""Pictures and their codecs: no I/O, no clock, no session.

Everything here is synchronous and meant for worker threads: codecs and colour conversion run
without the GIL. ``av`` (FFmpeg) is imported in this room and in ``audio/files.py`` only.
"""
