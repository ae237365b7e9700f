"""Whether a deployed stack is what its program declares, and whether an image finds its way through it."""
