"""A run: what it is asked to do, the stages in order, and what it leaves for people to read."""
