"""One arm of a benchmark of promptable models, and what trains or loads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.benchmarking.arms import Places
from histoseed.wording import counted

if TYPE_CHECKING:
    from histoseed.prompting import PromptableModel

__all__ = ["PromptArm", "load_arm", "training_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptArm:
    """What is compared; JSON values.

    Args:
        model: As the plan names it.
        weights: ``bundled``, ``hub``, ``random``, ``file``, or ``path`` where the model itself is one.
        file: Fingerprint of the file or folder of its weights.
        fusion: Name of a fusion card, or None.
        histology: Encoder that is fused in.
        histology_weights: ``hub``, ``random`` or ``file``.
        histology_file: Fingerprint of that file.
        tiles: Histology tiles a side of a window.
        method: ``frozen``, ``lora``, ``full``; None: not trained.
        train: Data sets that it is trained on.
        patches: How many patches of each; ``all``.
        training: What else the training is told.
    """

    model: str
    weights: str
    file: str | None = None
    fusion: str | None = None
    histology: str | None = None
    histology_weights: str | None = None
    histology_file: str | None = None
    tiles: int | None = None
    method: str | None = None
    train: tuple[str, ...] = ()
    patches: int | str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def random_weights(self) -> bool:
        """Whether a part of it began as random numbers."""
        return "random" in {self.weights, self.histology_weights}

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from other arms, for tables and for the report."""
        hidden = {"file", "histology_file", "training"}
        facts = {key: value for key, value in asdict(self).items() if key not in hidden}
        return facts | {"train": list(self.train)} | dict(self.training)

    @property
    def label(self) -> str:
        """A few words.

        >>> PromptArm(model="sam-vit-b", weights="hub", method="lora", train=("a", "b"), patches=4).label
        'sam-vit-b, lora on a + b (4 patches)'
        """
        words = [self.model + (f" ({self.weights})" if self.weights in {"random", "file"} else "")]
        words += [f"{self.fusion} with {self.histology}"] if self.fusion else []
        if self.method is not None:
            some = f" ({counted(self.patches, 'patch')})" if isinstance(self.patches, int) else ""
            words.append(f"{self.method} on {' + '.join(self.train)}{some}")
            words += [f"{name} {self.training[name]}" for name in ("prompts", "loss") if name in self.training]
        return ", ".join(words)


def training_options(arm: PromptArm, places: Places) -> dict[str, Any]:
    """Keyword arguments of :func:`histoseed.workflows.adaptation.prompted.adapt_prompts`."""
    options: dict[str, Any] = {"encoder": arm.model, "method": arm.method, **arm.training}
    options |= _weights(arm, places)
    if arm.fusion is not None:
        options |= {"fusion": arm.fusion, "histology": arm.histology, "tiles": arm.tiles}
        options |= {"histology_weights": _file(arm.histology_file, arm.histology_weights, places)}
    return options | {"patches": None if arm.patches == "all" else arm.patches}


def load_arm(arm: PromptArm, places: Places, trained: Path | None) -> PromptableModel:
    """The model that answers.

    Args:
        arm: Its arm.
        places: Where weights lie.
        trained: Its folder, where it was trained.

    Raises:
        ModelError: it cannot be loaded.
    """
    from histoseed.workflows.prompting.models import load_prompt_model  # noqa: PLC0415 - imports torch

    if trained is not None:
        return load_prompt_model(trained)
    told = _weights(arm, places)
    if arm.fusion is None:
        return load_prompt_model(told.get("encoder", arm.model), weights=told.get("weights"))
    from histoseed.prompting.fusion import load_fused  # noqa: PLC0415
    from histoseed.workflows.models import choose_device  # noqa: PLC0415

    return load_fused(
        str(told.get("encoder", arm.model)), str(arm.histology), arm.fusion, tiles=arm.tiles,
        sam_weights=told.get("weights"),
        histology_weights=_file(arm.histology_file, arm.histology_weights, places), device=choose_device("auto"),
    )  # fmt: skip


def _weights(arm: PromptArm, places: Places) -> dict[str, Any]:
    """The model and its weights, as functions take them."""
    if arm.weights == "path":
        return {"encoder": str(places.find(str(arm.file), f"the model {arm.model}"))}
    return {} if arm.weights == "bundled" else {"weights": _file(arm.file, arm.weights, places)}


def _file(mark: str | None, weights: str | None, places: Places) -> str | Path | None:
    return weights if mark is None else places.find(mark, "a file of weights")
