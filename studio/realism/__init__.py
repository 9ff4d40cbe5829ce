"""The job of ``infill realism``."""
