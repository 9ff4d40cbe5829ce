"""Thresholds that are tuned: never on the images they are used on."""

import numpy as np

from studio.report.figures import _tuned


def test_a_threshold_is_never_tuned_on_the_images_it_is_used_on() -> None:
    alphas = [0.0, 0.5, 1.0]
    # Even images are best at 0.5, odd ones at 1.0: each half is judged at the other's best.
    even, odd = [1.0, 0.0, 0.7], [1.0, 0.6, 0.0]
    values = {n: np.array([alphas, even if n % 2 == 0 else odd]).T for n in range(6)}
    of_image, (for_even, for_odd) = _tuned(values)
    assert (for_even, for_odd) == (1.0, 0.5)
    assert of_image == {n: 0.7 if n % 2 == 0 else 0.6 for n in range(6)}
    # Of equally good ones the smallest is taken.
    flat = {n: np.array([alphas, [0.5, 0.5, 0.5]]).T for n in range(2)}
    assert _tuned(flat)[1] == (0.0, 0.0)
