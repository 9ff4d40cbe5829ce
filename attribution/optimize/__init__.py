"""The loop, the cached score, the objectives and the results of optimizing methods."""
