"""Files as people have them -> records -> batches of tokens."""
