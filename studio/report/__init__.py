"""The job of ``infill report``."""

from pathlib import Path

TOGETHER = Path("infill-report")
"""Where the report of several runs goes unless asked."""
