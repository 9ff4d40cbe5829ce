"""Whether an answer has derivatives by the images that were asked about."""

from typing import Any

from torch import Tensor


def follows(answer: Tensor, images: Tensor) -> bool:
    """Whether the answer's graph leads back to the images.

    That the answer requires a gradient is not enough: one by the network's parameters does, too, whose images
    were detached on the way (by numpy, or under ``no_grad``).

    Args:
        answer: What was computed of them.
        images: They require a gradient.
    """
    if answer is images:
        return True
    todo: list[Any] = [answer.grad_fn]
    seen = set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        if node is images.grad_fn or getattr(node, "variable", None) is images:
            return True
        seen.add(node)
        todo += [each for each, _ in node.next_functions]
    return False
