"""Seeded generators that compose training data from the hand-written tables in ``data/sources``."""
