"""What ``infill doctor`` tells: the state of an installation, a line for each thing, with the remedy."""
