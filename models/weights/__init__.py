"""Weights: which are known, where they are, how they get here, and how they are read."""
