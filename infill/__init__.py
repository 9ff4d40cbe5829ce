"""What to put in a hole: fillers from a constant color to a learned inpainter."""

from infill.classical import Biharmonic as Biharmonic
from infill.classical import NavierStokes as NavierStokes
from infill.classical import Telea as Telea
from infill.filler import Filler as Filler
from infill.filler import composite as composite
from infill.learned import Learned as Learned
from infill.marginal import Marginal as Marginal
from infill.static import Blur as Blur
from infill.static import Gray as Gray
from infill.static import Mean as Mean
from infill.static import Noise as Noise

__all__ = [
    "Biharmonic",
    "Blur",
    "Filler",
    "Gray",
    "Learned",
    "Marginal",
    "Mean",
    "NavierStokes",
    "Noise",
    "Telea",
    "composite",
]
