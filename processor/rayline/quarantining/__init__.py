"""Looking into quarantine and emptying it: the index of its entries, header dumps, bulk release and purge."""
