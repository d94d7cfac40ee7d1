"""What of a data set is trained on and what is scored: the same for every run of a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from histoseed.datasets import Dataset, deal_patches
from histoseed.errors import DatasetError, InputError

__all__ = ["Parts", "Test", "group_names", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """How the scored patches are chosen; JSON values.

    Args:
        fold: The official fold that is scored.
        split: The official split that is scored.
        share: Share of the objects that is scored where the data set has neither split nor folds.
        seed: Of that choice.
        um: Side of the central window that is scored.
        patches: Most scored patches.
    """

    fold: int | None = None
    split: str | None = None
    share: float = 0.5
    seed: int = 0
    um: float | None = None
    patches: int | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a data set.

    Args:
        train: What may be trained on.
        test: What is scored, whole patches.
        how: How they came about, a few words.
    """

    train: Dataset
    test: Dataset
    how: str

    @property
    def test_groups(self) -> list[str]:
        """Groups of the scored patches, sorted; a patch without a group is one of its own."""
        return sorted(set(group_names(self.test)))


def group_names(data: Dataset) -> list[str]:
    """The group of every patch: what is resampled and kept together."""
    columns = [pl.col(name) for name in ("group", "patient", "slide", "patch_id")]
    return data.patches.select(pl.coalesce(columns).alias("group"))["group"].to_list()


def parts_of(data: Dataset, test: Test) -> Parts:
    """Divide a data set: along its own split or folds, else by groups.

    - ``test.fold`` or ``test.split`` name the scored part; all others (of a split: "train" alone) train.
    - Without them, a split "test" is scored, else the highest fold, else "val".
    - Without any, groups (patients or slides) are dealt out by ``test.share`` and ``test.seed``. Patches that share a
      patient, a slide or an object are never on both sides.

    Raises:
        DatasetError: no such split or fold, or too few groups.
    """
    table = data.patches
    splits, folds = ({*table[name].drop_nulls().to_list()} for name in ("split", "fold"))
    if test.fold is not None or (test.split is None and "test" not in splits and len(folds) > 1):
        fold = max(folds) if test.fold is None else test.fold
        if fold not in folds:
            listed = ", ".join(map(str, sorted(folds))) or "none"
            raise DatasetError(
                f"There is no fold {fold}; there are {listed}.", where=data.path, fix="Correct the plan."
            )
        scored, how = table["fold"] == fold, f"official fold {fold} is scored"
        trained = ~scored
        if "train" in splits:
            trained &= table["split"] == "train"
    elif test.split is not None or splits & {"test", "val"}:
        split = test.split or ("test" if "test" in splits else "val")
        if split not in splits:
            listed = ", ".join(sorted(splits)) or "none"
            raise DatasetError(
                f"There is no split {split!r}; there are {listed}.", where=data.path, fix="Correct the plan."
            )
        scored, how = table["split"] == split, f"the split {split!r} of the data set is scored"
        trained = (table["split"] == "train") if "train" in splits - {split} else (table["split"] != split)
    else:
        dealt = deal_patches(data, {"train": 1 - test.share, "test": test.share}, test.seed)
        scored = pl.Series([dealt[patch] == "test" for patch in table["patch_id"]])
        trained, how = ~scored, f"groups were dealt out, {test.share:g} of the objects are scored"
    ids = table["patch_id"]
    sides = [ids.filter(side.fill_null(value=False)).to_list() for side in (trained, scored)]
    if not all(sides):
        what = f"Nothing is left to {'score' if sides[0] else 'train on'} ({how})."
        raise DatasetError(what, where=data.path, fix="Name another split or fold in the plan.")
    train, whole = (data.subset(side) for side in sides)
    return Parts(train, _some_of(whole, test), how)


def _some_of(data: Dataset, test: Test) -> Dataset:
    """At most ``test.patches`` patches; groups take turns."""
    if test.patches is None or len(data) <= test.patches:
        return data
    if test.patches < 1:
        raise InputError("At least one patch must be scored.", where="test_patches")
    rng = np.random.default_rng([test.seed, 2])
    queues: dict[str, list[str]] = {}
    names = group_names(data)
    for i in rng.permutation(len(data)):
        queues.setdefault(names[i], []).append(data.patch_ids[i])
    chosen: set[str] = set()
    while len(chosen) < test.patches:
        for queue in queues.values():
            if queue and len(chosen) < test.patches:
                chosen.add(queue.pop())
    return data.subset([patch for patch in data.patch_ids if patch in chosen])
