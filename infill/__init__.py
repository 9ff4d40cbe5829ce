"""What to put in a hole: fillers from a constant color to a learned inpainter."""

from infill.filler import Filler as Filler
from infill.filler import composite as composite
from infill.fillers.adaptive import Adaptive as Adaptive
from infill.fillers.blur import Blur as Blur
from infill.fillers.classical import Biharmonic as Biharmonic
from infill.fillers.classical import NavierStokes as NavierStokes
from infill.fillers.classical import Telea as Telea
from infill.fillers.exemplar import Exemplar as Exemplar
from infill.fillers.given import Given as Given
from infill.fillers.learned import Learned as Learned
from infill.fillers.marginal import Marginal as Marginal
from infill.fillers.patchmatch import PatchMatch as PatchMatch
from infill.fillers.static import Gray as Gray
from infill.fillers.static import Mean as Mean
from infill.fillers.static import Noise as Noise

__all__ = [
    "Adaptive",
    "Biharmonic",
    "Blur",
    "Exemplar",
    "Filler",
    "Given",
    "Gray",
    "Learned",
    "Marginal",
    "Mean",
    "NavierStokes",
    "Noise",
    "PatchMatch",
    "Telea",
    "composite",
]
