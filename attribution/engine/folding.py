"""Batch normalization folded into the convolution before it: the same function, one pass less."""

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Lock, get_ident
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> int:
    """Fold every ``Conv2d -> BatchNorm2d`` of a network in evaluation mode, in place.

    The network keeps its own ``forward``: a convolution is replaced by the folded one and its
    batch normalization by the identity. A pair is left alone unless nothing else can see the
    difference: the convolution's output feeds that normalization only, both run once, neither is
    shared, hooked, subclassed or read from outside.

    Where the whole network cannot be traced symbolically (control flow on its input), its
    children are tried one by one.

    Returns:
        The number of pairs folded.
    """
    owners = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    folded = 0
    for part, graph in _traceable(network):
        for conv, norm in _pairs(part, graph):
            before = cast(nn.Conv2d, part.get_submodule(conv))
            after = cast(nn.BatchNorm2d, part.get_submodule(norm))
            if owners[id(before)] == owners[id(after)] == 1:
                _replace(part, conv, fuse_conv_bn_eval(before, after))
                _replace(part, norm, nn.Identity())
                folded += 1
    return folded


_ONE_AT_A_TIME = Lock()


class _OfOneThread(torch.fx.Tracer):
    """Traces what its own thread calls.

    While a tracer traces, it stands in for the call of every module of the process, whoever calls it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Trace the call of a module, or just do it."""
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Trace the reading of an attribute, or just do it."""
        if get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _traced(module: nn.Module) -> torch.fx.Graph:
    # Two that overlap would each put back what the other had put in place.
    with _ONE_AT_A_TIME:
        return _OfOneThread().trace(module)


def _traceable(module: nn.Module) -> Iterator[tuple[nn.Module, torch.fx.Graph]]:
    """Yield the largest parts of a module that can be traced, each with its graph, and only where that helps.

    A function that the module calls would be handed symbols, and may keep what it sees.
    """
    if not any(type(part) is nn.BatchNorm2d for part in module.modules()):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Tracing runs the module's own code, which may store what it sees: let it do so on a copy.
            graph = _traced(copy.deepcopy(module))
    except Exception:  # anything may go wrong in foreign code that is handed symbols
        for child in module.children():
            yield from _traceable(child)
    else:
        yield module, graph


def _pairs(part: nn.Module, graph: torch.fx.Graph) -> Iterator[tuple[str, str]]:
    """Yield the paths of the convolutions and normalizations that can be folded into one."""
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    read = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and len(node.args) == 1 else None
        if not isinstance(before, torch.fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = str(before.target), str(node.target)
        alone = calls[conv] == calls[norm] == 1
        unread = not any(name.startswith((f"{conv}.", f"{norm}.")) for name in read)
        if alone and unread and _foldable(part.get_submodule(conv), part.get_submodule(norm)):
            yield conv, norm


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    exact = type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in (conv, norm))
    frozen = not norm.training and getattr(norm, "running_mean", None) is not None
    return exact and frozen and not hooked


def _replace(part: nn.Module, path: str, new: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(part.get_submodule(parent), name, new)
