"""The training data, and what it is made from; see README.md in this folder."""
