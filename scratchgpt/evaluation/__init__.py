"""Measures on held-out data: losses, right answers, rubrics, a reward model's scores."""
