"""What the sources say happened, held against the ledgers: one module for each source."""
