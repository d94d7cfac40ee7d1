"""One arm: a choice of everything that is compared, and what :func:`histoseed.workflows.adapt.adapt` makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from histoseed.errors import ModelError, OutputError

__all__ = ["Arm", "Places", "adapt_options", "start_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What is compared; JSON values.

    Args:
        encoder: As the plan names it; ``model:NAME`` is the encoder of a model that was trained before.
        weights: ``bundled``, ``random``, ``hub``, ``file``, or ``path`` where the encoder itself is named by a path.
        file: Fingerprint of the file or folder of the encoder's weights.
        decoder: Its kind.
        method: What trains beside the decoder.
        source: ``none``, ``bundled`` or the name of a model that was trained before: what the run starts from.
        selection: How the annotated patches are chosen.
        stain: Normalisation of the stain.
        classifier: Where classes come from; None is the default of the start.
        steps: Optimiser steps; None is the default.
        batch: Crops a step.
        learning_rate: Peak of the schedule.
        model_mpp: Microns per pixel of the network.
        balance: Strength of the weighted sampling of rare classes.
        options: ``decoder.FIELD`` and ``method.FIELD`` that differ from the defaults.
        model: Key of the model that ``source`` or ``encoder`` names.
        random_weights: Whether the encoder started from random weights, in this run or in the models before it.
    """

    encoder: str
    weights: str
    file: str | None = None
    decoder: str = "skip"
    method: str = "frozen"
    source: str = "none"
    selection: str = "random"
    stain: str = "none"
    classifier: str | None = None
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    model_mpp: float | None = None
    balance: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    random_weights: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from other arms, for tables and for the report."""
        hidden = {"file", "model", "random_weights"}
        facts = {key: value for key, value in asdict(self).items() if key not in hidden}
        return facts | {"weights": "file" if self.weights == "path" else self.weights}

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """The options by part: fields of the decoder, fields of the method."""
        chosen: dict[str, dict[str, Any]] = {"decoder": {}, "method": {}}
        for name, value in self.options.items():
            part, _, key = name.partition(".")
            chosen[part][key] = value
        return chosen

    @property
    def label(self) -> str:
        """A few words."""
        words = [self.encoder, self.decoder, self.method]
        if self.weights not in {"hub", "bundled", "file"}:
            words[0] += f" ({self.weights})"
        for name, usual in (("source", "none"), ("selection", "random"), ("stain", "none")):
            value = getattr(self, name)
            if value != usual:
                words.append(f"{name} {value}")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie on this machine; not part of any result.

    Args:
        folder: The folder of results.
        paths: Fingerprint -> file or folder.
    """

    folder: Path
    paths: Mapping[str, str]

    def find(self, fingerprint: str, what: str) -> Path:
        """The path of an input.

        Raises:
            OutputError: the folder of results does not say.
        """
        if fingerprint not in self.paths:
            where = self.folder / "places.json"
            fix = "Run the plan again with --data."
            raise OutputError(f"The folder of results does not say where {what} lies.", where=where, fix=fix)
        return Path(self.paths[fingerprint])

    def model(self, key: str) -> Path:
        """The folder of a model that was trained before the runs.

        Raises:
            ModelError: it is not there.
        """
        path = self.folder / "models" / key
        if not (path / "model.json").is_file():
            fix = "Run the plan again; --retry-failed if its training failed."
            raise ModelError("The model that the run starts from is not there.", where=path, fix=fix)
        return path


def start_of(arm: Arm, places: Places) -> str | Path | None:
    """The trained model that the arm starts from; None where only the encoder is trained, or nothing."""
    if arm.source == "none":
        return None
    return "bundled" if arm.source == "bundled" else places.model(arm.model or "")


def adapt_options(arm: Arm, places: Places) -> dict[str, Any]:
    """Keyword arguments of ``adapt``; what does not differ from a default is left out."""
    from histoseed.bundled import bundled_folder  # noqa: PLC0415 - only where it runs

    options: dict[str, Any] = {"method": arm.method, "classifier": arm.classifier}
    start = start_of(arm, places)
    if start == "bundled":
        options |= {"encoder": "bundled"}
    elif start is not None:
        options |= {"start": start}
    elif arm.encoder.startswith("model:"):
        options |= {"encoder": str(places.model(arm.model or "")), "decoder": arm.decoder}
    elif arm.weights == "bundled":
        # By its folder the encoder alone is meant; by its name the trained decoder comes with it.
        options |= {"encoder": str(bundled_folder()), "decoder": arm.decoder}
    else:
        options |= {"encoder": arm.encoder, "weights": arm.weights, "decoder": arm.decoder}
        if arm.file is not None:
            path = places.find(arm.file, f"the file of {arm.encoder}")
            options |= {"encoder": str(path), "weights": None} if arm.weights == "path" else {"weights": path}
    options |= {f"{part}_options": values or None for part, values in arm.parts.items()}
    if arm.selection != "random":
        options["select"] = arm.selection
    for name, usual in (("stain", "none"), ("balance", 0.0)):
        if getattr(arm, name) != usual:
            options[name] = getattr(arm, name)
    for name in ("steps", "batch", "learning_rate", "model_mpp"):
        if getattr(arm, name) is not None:
            options[name] = getattr(arm, name)
    return options
