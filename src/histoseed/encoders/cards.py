"""Executable model cards: where an encoder's weights are, what they may be used for, what input they expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from histoseed.licences import Commercial

__all__ = [
    "AS_IT_IS",
    "CLIP",
    "HALF",
    "IMAGENET",
    "Commercial",
    "EncoderCard",
    "Family",
    "Gate",
    "Group",
    "Layout",
    "TapNorm",
    "TapRule",
    "Triple",
]

Family = Literal["bundled", "timm", "transformers", "none"]
Group = Literal["histoseed", "pathology", "general", "segment-anything"]
Layout = Literal["clip", "dino", "dinov2", "kimianet", "musk", "sam", "sam2", "swin", "torchvision", "trunk"]
Gate = Literal["none", "click", "manual", "unavailable"]
TapRule = Literal["auto", "four-blocks", "all-stages"]
TapNorm = Literal["auto", "layer", "none"]
Triple = tuple[float, float, float]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's RGB in [0, 1]."""

HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and standard deviation that map [0, 1] to [-1, 1] (Google's vision transformers)."""

CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and standard deviation of CLIP's training pictures (Radford et al., 2021)."""

AS_IT_IS: tuple[Triple, Triple] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""For encoders that take pixels in [0, 1] without mean and standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCard:
    """What is known about an encoder before anything of it is downloaded. Data, not code.

    Args:
        name: What the user types.
        family: Who builds it: ``bundled`` (this package), ``timm``, ``transformers``, or ``none``: nobody, see
            ``reason``.
        group: Where it is listed: what it was made for.
        arch: Name of the architecture inside the family, with timm's tag where there is one.
        build: Arguments of the architecture that differ from its defaults; JSON values only.
        hub_id: Repository on the Hugging Face hub; None where there is none.
        filename: File in that repository, or what the file is called where there is no repository; None tries
            ``model.safetensors``, then ``pytorch_model.bin``.
        layout: How the tensors of the published file are named where that is not the network's own way, see
            :mod:`histoseed.encoders.layouts`; a file in the network's own naming is read as well.
        revision: Commit of that repository; None until the first download records it.
        sha256: Hex digest of the weights file; None until the first download records it.
        licence: Identifier of the weights' licence; None where the source states none.
        commercial: Whether that licence allows commercial use.
        gated: ``none``; ``click``: log in and accept; ``manual``: the owners approve each request;
            ``unavailable``: never released.
        reason: Why it cannot be built here, for cards without a builder.
        page: Where the licence stands and access is asked for.
        mpp: Microns per pixel the authors advise; None for encoders that were not made for tissue.
        native_size: Side of the training images in pixels.
        mean: Mean of each channel (R, G, B) of pixels in [0, 1]; subtracted inside the encoder.
        std: Standard deviation of each channel; divided by inside the encoder.
        patch_size: Pixels a token covers; None for hierarchical encoders.
        prefix_tokens: Tokens in front of the patch tokens (class token and registers); None until built.
        dims: Channels of each feature map of the default taps; None until built.
        strides: Input pixels a cell of each map covers; None until built.
        params: Number of parameters without a classifier; None until built.
        taps: Which depths are handed out. ``four-blocks``: four equally spaced blocks that end at the last one
            (encoders of one stride); ``all-stages``: the end of every stage (hierarchical encoders); ``auto``:
            decided from the strides when the encoder is built.
        tap_norm: ``layer``: each map is brought to mean 0 and variance 1 over its channels (see
            :class:`histoseed.encoders.FeaturePyramid`); ``none``: as the network gives it; ``auto`` as for ``taps``.
        size_policy: What happens to sizes the encoder cannot take: ``resample-up`` resamples to the next multiple.
        citation: The paper to cite.
        evidence: Where these facts come from.
    """

    name: str
    family: Family
    arch: str
    group: Group = "general"
    build: Mapping[str, Any] = field(default_factory=dict, hash=False)
    hub_id: str | None = None
    filename: str | None = None
    layout: Layout | None = None
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    commercial: Commercial = "unknown"
    gated: Gate = "none"
    reason: str | None = None
    page: str | None = None
    mpp: float | None = None
    native_size: int | None = None
    mean: Triple = IMAGENET[0]
    std: Triple = IMAGENET[1]
    patch_size: int | None = None
    prefix_tokens: int | None = None
    dims: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    params: int | None = None
    taps: TapRule = "auto"
    tap_norm: TapNorm = "auto"
    size_policy: Literal["resample-up"] = "resample-up"
    citation: str | None = None
    evidence: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card as JSON values (tuples become lists).

        >>> EncoderCard(name="x", family="timm", arch="resnet18", dims=(64,)).as_dict()["dims"]
        [64]
        """
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
