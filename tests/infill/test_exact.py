"""Double precision, wherever it is computed."""

import torch

from infill.exact import exact, exact_device, rounded


def test_exact_numbers_are_the_same_numbers_in_float64():
    values = torch.tensor([0.1, 1 / 3, 3e38])
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        found = exact(values.to(dtype))
        assert found.dtype == torch.float64
        assert torch.equal(found, values.to(dtype).double())


def test_they_come_back_as_another_tensor_is():
    values = torch.tensor([0.1, 1 / 3], dtype=torch.float64)
    for dtype in (torch.float32, torch.bfloat16):
        found = rounded(values, torch.zeros(3, dtype=dtype))
        assert found.dtype == dtype
        assert torch.equal(found, values.to(dtype))


def test_where_a_device_has_none_the_processor_computes_them():
    assert exact_device(torch.device("mps")) == exact_device(torch.device("mps", 0)) == torch.device("cpu")
    for device in ("cpu", "cuda:1", "xpu"):
        assert exact_device(torch.device(device)) == torch.device(device)
