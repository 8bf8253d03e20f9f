"""Verifiers: whether an answer is right, and how answers and numerals are read."""
