"""The job of ``infill evaluate``."""
