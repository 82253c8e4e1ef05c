"""The MCP server: tools for agents that speak, list voices, clone them and transcribe."""
