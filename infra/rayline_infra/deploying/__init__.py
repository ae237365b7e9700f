"""Takes a stack to its account and back: what `make deploy` and `make destroy` do, step by step."""
