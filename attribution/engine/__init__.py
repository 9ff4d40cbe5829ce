"""Runs a classifier on composites, batch by batch; knows no score."""
