"""Composed pretraining text."""
