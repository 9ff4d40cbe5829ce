"""The job of ``infill report``."""
