"""The processes that pretrain together, started by torchrun; one alone is the usual case."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Processes(NamedTuple):
    """rank: this process's number, from 0; size: how many there are."""

    rank: int = 0
    size: int = 1

    def add_up(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in one message."""
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        dist.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join those that torchrun started with this one, by gloo, or NCCL on GPUs."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes()
        return
    dist.init_process_group("gloo" if device == "cpu" else "nccl")
    try:
        yield Processes(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
