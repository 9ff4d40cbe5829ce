"""What Python sees: ``infill.explain`` and its like: the command's own jobs, with objects beside names."""
