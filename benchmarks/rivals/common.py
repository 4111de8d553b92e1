"""What the rivals of `benchmarks/simulator.py` share: the model, the data and one client's training, in plain torch.

Runs in the rivals' interpreters: imports numpy and torch and nothing of Babelmesh. The arithmetic is that of
`ml/voice/training.py` without its pull and its clipping: 64 rows a step, Adam, the rate falling by a cosine.
"""

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

BATCH, RATE = 64, 3e-4


class Residual(nn.Module):
    """res64: 80 -> 32 -> 80, 19,696 parameters; its state has the names and the order of the layout."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"linear": nn.Linear(80, 32), "hidden": nn.Linear(80, 64), "output": nn.Linear(64, 32, bias=False)}
        )
        self.decoder = nn.ModuleDict(
            {"linear": nn.Linear(32, 80), "hidden": nn.Linear(32, 64), "output": nn.Linear(64, 80, bias=False)}
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        for side in (self.encoder, self.decoder):
            rows = side["linear"](rows) + side["output"](torch.relu(side["hidden"](rows)))
        return rows


def start(folder: Path) -> dict[str, np.ndarray]:
    """The shared first weights, by name."""
    with np.load(folder / "start.npz") as file:
        return dict(file)


def train(model: Residual, rows: torch.Tensor, number: int) -> None:
    """One epoch of round `number`, in the order that everybody has in that round."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(number))
    batches = order.tensor_split(max(len(rows) // BATCH, 1))
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, len(batches), RATE / 10)
    for batch in batches:
        adam.zero_grad()
        some = rows[batch]
        nn.functional.mse_loss(model(some), some).backward()
        adam.step()
        rates.step()


def family_cpu() -> float:
    """Processor seconds of this process, of all that it started, and of all that those started, dead or alive."""
    seen: dict[int, tuple[int, float]] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            seen[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15])) / tick
    family, total = {os.getpid()}, seen[os.getpid()][1]
    grown = True
    while grown:
        grown = False
        for number, (parent, used) in seen.items():
            if parent in family and number not in family:
                family.add(number)
                total += used
                grown = True
    return total
