"""Does it look real, and what is removed? Figures of composites, and how sure they are.

Called like a function, as in ``infill.realism("scenes:100")``, it measures fillers on a data set: package and
function have one name.
"""

import sys
from types import ModuleType
from typing import Any

from infill.realism.artifacts import periodicity as periodicity
from infill.realism.artifacts import seam as seam
from infill.realism.artifacts import texture as texture
from infill.realism.distances import frechet_distance as frechet_distance
from infill.realism.distances import kernel_distance as kernel_distance
from infill.realism.distances import two_sample_accuracy as two_sample_accuracy
from infill.realism.features import Judge as Judge
from infill.realism.features import judge as judge
from infill.realism.resampling import Estimate as Estimate
from infill.realism.resampling import bootstrap as bootstrap
from infill.realism.resampling import leave_out as leave_out
from infill.realism.similarity import Perceptual as Perceptual
from infill.realism.similarity import divergence as divergence
from infill.realism.similarity import entropy as entropy
from infill.realism.similarity import l1_in_hole as l1_in_hole
from infill.realism.similarity import ms_ssim as ms_ssim
from infill.realism.similarity import psnr_in_hole as psnr_in_hole
from infill.realism.similarity import target_probability as target_probability
from infill.realism.unpaired import frechet_to_others as frechet_to_others
from infill.realism.unpaired import kernel_to_others as kernel_to_others


class _Callable(ModuleType):
    """This package, which is the front door's function, too."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from infill import door

        return door.realism(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
