"""The commands. Each is a thin module, registered by one line in app.py; heavy imports stand inside the commands."""
