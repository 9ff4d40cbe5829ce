"""The folder of a long run: units of work, each kept as soon as it is done."""
