"""How weights reach an engine: register → transfer → confirm the version."""
