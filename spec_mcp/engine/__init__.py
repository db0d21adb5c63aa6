"""Decides, and does nothing else: events in, commands out, the standard library alone."""
