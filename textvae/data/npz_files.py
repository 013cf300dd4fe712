"""Images and labels in the arrays of an npz file, found by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from textvae.data.errors import DataError, first_line
from textvae.data.file_trees import SPLIT_WORDS, listed
from textvae.data.pixels import Split, checked_split

IMAGES = frozenset(
    ("x", "image", "images", "img", "imgs", "picture", "pictures", "data", "input", "inputs")
)
"""Words of the name of an array of images."""

LABELS = frozenset(("y", "label", "labels", "target", "targets", "class", "classes"))
"""Words of the name of an array of labels."""

NAME_WORD = re.compile(r"t10k|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
GLUED = re.compile(rf"([xy])({'|'.join(SPLIT_WORDS)})")
ALLOWED_ARRAYS = "images or x_train, x_test, with labels or y_train, y_test"


def npz_splits(path: Path, notes: list[str]) -> dict[str, Split]:
    """The splits of an npz file: x_train and y_train, test_images and test_labels, data and target.

    Names are read without regard to case. Arrays that are left out are named in a note.

    Raises:
        DataError: there are no images, two arrays that could be, or an array does not fit.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: is a single array, no .npz file")
        with file:
            return splits_of_arrays(path, file, notes)
    except (ValueError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: is no readable .npz file ({first_line(error)})") from None


def splits_of_arrays(path: Path, file: np.lib.npyio.NpzFile, notes: list[str]) -> dict[str, Split]:
    """The splits of an open npz file, see `npz_splits`."""
    names = [name for name in file.files if is_array(file, name)]
    roles = by_role(str(path), names, file) or nameless(str(path), names, file, notes)
    used: list[str] = []
    splits: dict[str, Split] = {}
    for (role, split), name in roles.items():
        if role != "images":
            continue
        partner = roles.get(("labels", split))
        used += [name] if partner is None else [name, partner]
        labels = None if partner is None else file[partner]
        splits[split] = checked_split(f"{path}: {name}", file[name], labels)
    if not splits:
        raise DataError(
            f"{path}: no array of images (found: {listed(file.files) or 'none'}; "
            f"allowed: {ALLOWED_ARRAYS})"
        )
    if left_out := [name for name in file.files if name not in used]:
        notes.append(f"{path}: arrays left out: {listed(left_out)}")
    return splits


FACTORS = ("factors", "latents_classes")
"""Names of an array of the factors that images were drawn from; the second is that of dSprites."""


def npz_factors(path: Path) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """The factors of all images of an npz file of one split, (N, F), and their names; None without.

    The names are those of an array `factor_names`, which may be left out.

    Raises:
        DataError: the file cannot be read, or the factors are no table.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            name = next((name for name in FACTORS if name in file.files), None)
            if name is None:
                return None
            values = file[name]
            names = file["factor_names"] if "factor_names" in file.files else np.array([], str)
    except (ValueError, KeyError, OSError, AttributeError) as error:
        raise DataError(f"{path}: is no readable .npz file ({first_line(error)})") from None
    if values.ndim != 2 or values.dtype.kind == "f":
        raise DataError(
            f"{path}: {name} must be (N, F) of whole numbers or names "
            f"(got {values.shape} of {values.dtype})"
        )
    return values, tuple(map(str, names.ravel().tolist()))


def is_array(file: np.lib.npyio.NpzFile, name: str) -> bool:
    """Whether an entry of an npz file is an array, by its name in the zip."""
    return f"{name}.npy" in file.zip.namelist()  # type: ignore[union-attr]


def by_role(
    where: str, names: Iterable[str], file: np.lib.npyio.NpzFile
) -> dict[tuple[str, str], str]:
    """The array of the images and of the labels of each split: the name by role and split.

    Of several arrays of images, those of (N, H, W) or more go before flat ones.

    Raises:
        DataError: two arrays have the same role.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        words = words_of(name)
        split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "train")
        role = role_of([word for word in words if word not in SPLIT_WORDS])
        if role is not None:
            found.setdefault((role, split), []).append(name)
    roles = {}
    for key, candidates in found.items():
        if len(candidates) > 1:
            shapes = {name: file[name].ndim for name in candidates}
            fitting = [n for n in candidates if (shapes[n] >= 3) == (key[0] == "images")]
            candidates = fitting or candidates
        if len(candidates) > 1:
            raise DataError(
                f"{where}: several arrays could be the {key[1]} {key[0]}: {', '.join(candidates)}; "
                "keep one"
            )
        roles[key] = candidates[0]
    return roles if any(role == "images" for role, _ in roles) else {}


def words_of(name: str) -> list[str]:
    """The words of an array's name, in lower case.

    >>> words_of("X_train"), words_of("trainImages"), words_of("ytest"), words_of("t10k-images")
    (['x', 'train'], ['train', 'images'], ['y', 'test'], ['t10k', 'images'])
    """
    words = [word.lower() for word in NAME_WORD.findall(name)]
    glued = [(word, GLUED.fullmatch(word)) for word in words]
    return [part for word, match in glued for part in (match.groups() if match else (word,))]


def role_of(words: list[str]) -> str | None:
    """What an array holds, by the words of its name beside its split: `images`, `labels` or None.

    >>> role_of(["x"]), role_of(["image", "labels"]), role_of(["target", "names"])
    ('images', 'labels', None)
    """
    if not words or not set(words) <= IMAGES | LABELS:
        return None
    return "images" if set(words) <= IMAGES else "labels"


def nameless(
    where: str, names: Iterable[str], file: np.lib.npyio.NpzFile, notes: list[str]
) -> dict[tuple[str, str], str]:
    """The only array that can be images, and the only one that can be their labels."""
    arrays = {name: file[name] for name in names}
    images = [name for name, array in arrays.items() if array.ndim in (3, 4)]
    if len(images) != 1:
        return {}
    roles = {("images", "train"): images[0]}
    count = len(arrays[images[0]])
    labels = [
        name
        for name, array in arrays.items()
        if array.shape in ((count,), (count, 1)) and array.dtype.kind in "iubU"
    ]
    if len(labels) == 1:
        roles["labels", "train"] = labels[0]
    taken = ", ".join(f"{name} as {role}" for (role, _), name in roles.items())
    notes.append(f"{where}: read {taken}, by their shapes")
    return roles
