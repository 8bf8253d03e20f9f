"""What kernels run on: what Numba reads before it starts, threads, the choice of backend, precision, vector math."""
