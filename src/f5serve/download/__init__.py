"""Downloads from URLs that callers send, without a way into our own network, and base64 input."""
