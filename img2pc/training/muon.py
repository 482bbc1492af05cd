"""Muon: momentum whose update is made orthogonal, for the network's matrices and filters.

Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
`torch.optim.Muon` (torch ≥ 2.9) takes no convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Steps of the same size in every direction that the gradient spans.

    Filters count as matrices of one row per output channel. Parameters of a group with `parts`
    greater than 1 are so many matrices, one below the other, such as those of queries, keys and
    values.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        groups: list[Any] = list(parameters)
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "parts": 1}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                gradient, momentum = parameter.grad, state["momentum"]
                momentum.lerp_(gradient, 1 - group["momentum"])
                update = gradient.lerp(momentum, group["momentum"])
                parts, updates = (each.chunk(group["parts"]) for each in (parameter, update))
                for part, matrix in zip(parts, updates, strict=True):
                    matrix = matrix.flatten(1)
                    # A GPU waits for the launch of each product, so those of one shape are made
                    # together; a CPU is a third slower at that.
                    which = 0 if matrix.is_cuda else len(alike)
                    alike.setdefault((*matrix.shape, which), []).append((part, matrix))
            for (rows, columns, _), pairs in alike.items():
                matrices = [matrix for _, matrix in pairs]
                together = torch.stack(matrices) if len(pairs) > 1 else matrices[0]
                updates = orthogonalised(together) * max(1.0, rows / columns) ** 0.5
                for (part, _), update in zip(pairs, updates.view(-1, rows, columns), strict=True):
                    part.mul_(1 - group["lr"] * group["weight_decay"])
                    part.sub_(update.view(part.shape).to(part), alpha=group["lr"])
        return loss


def orthogonalised(
    matrix: Float[Tensor, "*stack row column"],
) -> Float[Tensor, "*stack row column"]:
    """A matrix, or a stack, with the same singular vectors and singular values of 0.7 to 1.2.

    Five Newton-Schulz iterations in bfloat16.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    product_and_sum = torch.addmm if x.ndim == 2 else torch.baddbmm
    for _ in range(5):
        gram = x @ x.mT
        x = product_and_sum(x, product_and_sum(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    orthogonal: Tensor = (x.mT if tall else x).to(matrix)
    return orthogonal
