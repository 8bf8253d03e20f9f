"""Composed dialogues, and everyday sums asked in them."""
