"""Many servers as one, for many clients at once: what `spec-mcp run` serves."""
