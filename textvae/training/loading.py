"""Whole batches of rows, as a loader of PyTorch hands them over."""

from torch.utils.data import Dataset

from textvae.data.batching import Batch, Examples
from textvae.data.fields import padded_batch


class WholeBatches(Dataset):
    """Rows of which a loader gets whole batches, not one row after the other.

    Args:
        rows: all of them.
        multiple: of tokens, to which the texts of a batch are padded.
    """

    def __init__(self, rows: Examples, multiple: int = 1):
        self.rows = rows
        self.multiple = multiple

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """The batch of the rows at these indices."""
        return padded_batch(self.rows, self.multiple, indices)


def as_it_is(batch: Batch) -> Batch:
    """The batch: nothing is left to collate."""
    return batch
