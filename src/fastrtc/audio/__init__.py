"""Arrays of samples, pure: no I/O, no clock, no session."""
