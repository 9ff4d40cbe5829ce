"""Networks that see a whole image in its own shape."""

import torch
from torch import nn

from models.stretched import Stretched, fitted


class Sizes(nn.Module):
    def forward(self, images):
        return tuple(images.shape[2:]), images.mean()


def test_images_are_shown_in_their_own_shape():
    images = torch.full((2, 3, 32, 32), 0.4)
    size, mean = Stretched(Sizes(), (16, 32))(images)
    assert size == (16, 32)
    torch.testing.assert_close(mean, torch.tensor(0.4))
    assert Stretched(Sizes(), (32, 32))(images)[0] == (32, 32)
    assert Stretched(Sizes(), (16, 32))(images.bfloat16())[1].dtype is torch.bfloat16


def test_the_long_side_is_given():
    assert fitted((200, 400), 64) == (32, 64)
    assert fitted((400, 200), 64) == (64, 32)
    assert fitted((64, 64), 64) == (64, 64)
    assert fitted((1, 1000), 64) == (1, 64)
