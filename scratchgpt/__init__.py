"""scratchgpt: a complete small language model in NumPy and Numba, from the gradient up."""
