"""What a person touches in the browser: ``infill studio``."""
