"""The command ``infill``: one file a command."""
