"""Does it look real, and what is removed? Figures of composites."""
