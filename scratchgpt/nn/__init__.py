"""Modules and what trains them: layers, optimizers, learning-rate schedules."""
