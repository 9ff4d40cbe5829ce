"""The job of ``infill explain`` and ``infill counterfactual``."""
