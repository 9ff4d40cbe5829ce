"""How good a heatmap is."""
