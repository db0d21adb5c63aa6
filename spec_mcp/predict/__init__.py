"""Guessing the calls that a client makes next. Pure: time and randomness are arguments, nothing here does I/O."""
