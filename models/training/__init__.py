"""How the networks that ship with the package are trained; run by `infill train`."""
