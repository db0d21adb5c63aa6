"""Worlds in which writes are speculated, and taken back, and in which the process dies at any moment."""
