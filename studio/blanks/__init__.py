"""The job of `infill fill-blanks`."""
