"""What a person touches: the command line, figures and files."""


def version() -> str:
    """Return the installed version of infill."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("infill-attribution")
    except PackageNotFoundError:
        return "unknown (not installed)"
