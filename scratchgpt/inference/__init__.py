"""Generating: sequences that grow, sampling, beam search, ids, text."""
