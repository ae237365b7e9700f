"""How fast and how evenly events reach their hooks, compared with what could be written by hand."""
