"""The HTTP API: what people do with the estate, for screens and scripts; every request is authenticated."""
