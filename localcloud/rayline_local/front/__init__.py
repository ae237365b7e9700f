"""The front: one ASGI application that hands each signed request to the service it names."""
