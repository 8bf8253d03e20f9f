"""Composed preference pairs."""
