"""The processes that train together, as `torchrun` or `accelerate launch` number them."""

import os


def process_count() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Rank of this process, from 0."""
    return int(os.environ.get("RANK", "0"))
