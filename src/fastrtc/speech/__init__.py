"""Speech to text and text to speech: engines behind two protocols, each loaded when asked for.

This room turns sound into words and words into sound. It knows nothing of sessions, handlers or
turns. An engine's package is imported when the engine is loaded, never before, and an error says
which extra of fastrtc brings it. Nothing here runs on an event loop: async methods use threads or
async I/O, the others block whoever calls them.
"""
