"""Seeing inside: every operation recorded, the steps inside fused kernels, the profiler, the walkthrough."""
