"""ASGI middleware: logs, keys, limits and headers of every request."""
