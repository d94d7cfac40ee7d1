"""The named encoder cards, and how a name finds its card."""

from __future__ import annotations

import difflib
import fnmatch
import importlib.util
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from histoseed.encoders.cards import HALF, IMAGENET, EncoderCard
from histoseed.errors import ModelError

__all__ = ["CARDS", "get_card", "list_cards", "nearest", "why_unavailable"]

_HUB = "https://huggingface.co/"
_DINOV2 = "Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024"
_AUGREG = "Steiner et al., How to train your ViT?, TMLR 2022"
_TIMM = "timm 1.0.31 pretrained cfg; parameters counted on the meta device"


def _vit(size: str, dim: int, params: int) -> EncoderCard:
    arch = f"vit_{size}_patch16_224.augreg_in21k"
    return EncoderCard(
        name=f"timm:{arch}", family="timm", arch=arch, hub_id=f"timm/{arch}", licence="apache-2.0", commercial="yes",
        page=f"{_HUB}timm/{arch}", native_size=224, mean=HALF[0], std=HALF[1], patch_size=16, prefix_tokens=1,
        dims=(dim,) * 4, strides=(16,) * 4, params=params, taps="four-blocks", tap_norm="layer", citation=_AUGREG,
        evidence=_TIMM,
    )  # fmt: skip


def _stages(
    arch: str, dims: tuple[int, ...], params: int, citation: str, *, licence: str = "apache-2.0"
) -> EncoderCard:
    strides = (2, 4, 8, 16, 32)[-len(dims) :]
    return EncoderCard(
        name=f"timm:{arch}", family="timm", arch=arch, hub_id=f"timm/{arch}", licence=licence, commercial="yes",
        page=f"{_HUB}timm/{arch}", native_size=224, mean=IMAGENET[0], std=IMAGENET[1], prefix_tokens=0, dims=dims,
        strides=strides, params=params, taps="all-stages", tap_norm="none", citation=citation, evidence=_TIMM,
    )  # fmt: skip


def _dinov2(size: str, dim: int, heads: int, params: int) -> EncoderCard:
    hub_id = f"facebook/dinov2-{size}"
    return EncoderCard(
        name=f"dinov2-{size}", family="transformers", arch="Dinov2Model", hub_id=hub_id, filename="model.safetensors",
        build={"hidden_size": dim, "num_hidden_layers": 12, "num_attention_heads": heads, "image_size": 518,
               "patch_size": 14},
        licence="apache-2.0", commercial="yes", page=f"{_HUB}{hub_id}", native_size=518, mean=IMAGENET[0],
        std=IMAGENET[1], patch_size=14, prefix_tokens=1, dims=(dim,) * 4, strides=(14,) * 4, params=params,
        taps="four-blocks", tap_norm="layer", citation=_DINOV2,
        evidence="config.json on the hub; parameters counted on the meta device with transformers 5.23",
    )  # fmt: skip


_CARDS = (
    EncoderCard(
        name="bundled", family="bundled", arch="small", licence="Apache-2.0", commercial="yes", mpp=0.25,
        mean=HALF[0], std=HALF[1], prefix_tokens=0, taps="all-stages", tap_norm="none",
        evidence="ships with this package; data and scores stand in the bundled model card",
    ),
    _dinov2("small", 384, 6, 22_056_576),
    _dinov2("base", 768, 12, 86_580_480),
    _vit("tiny", 192, 5_524_416),
    _vit("small", 384, 21_665_664),
    _vit("base", 768, 85_798_656),
    EncoderCard(
        name="timm:vit_small_patch14_reg4_dinov2.lvd142m", family="timm", arch="vit_small_patch14_reg4_dinov2.lvd142m",
        hub_id="timm/vit_small_patch14_reg4_dinov2.lvd142m", licence="apache-2.0", commercial="yes",
        page=f"{_HUB}timm/vit_small_patch14_reg4_dinov2.lvd142m", native_size=518, mean=IMAGENET[0], std=IMAGENET[1],
        patch_size=14, prefix_tokens=5, dims=(384,) * 4, strides=(14,) * 4, params=22_057_344, taps="four-blocks",
        tap_norm="layer", citation=_DINOV2, evidence=_TIMM,
    ),
    _stages("resnet18.a1_in1k", (64, 64, 128, 256, 512), 11_176_512,
            "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"),
    _stages("resnet50.a1_in1k", (64, 256, 512, 1024, 2048), 23_508_032,
            "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"),
    _stages("convnext_tiny.fb_in22k", (96, 192, 384, 768), 27_820_128,
            "Liu et al., A ConvNet for the 2020s, CVPR 2022"),
    _stages("swin_tiny_patch4_window7_224.ms_in22k", (96, 192, 384, 768), 27_519_354,
            "Liu et al., Swin Transformer, ICCV 2021", licence="mit"),
)  # fmt: skip

CARDS: Mapping[str, EncoderCard] = MappingProxyType({card.name: card for card in _CARDS})
"""Every named card of this release."""

_ALIASES = {f"hf:{card.hub_id}": card.name for card in _CARDS if card.family == "transformers"}


def nearest(name: str, names: Iterable[str], *, count: int = 3) -> list[str]:
    """The most similar names, best first; a prefix such as ``timm:`` may be missing from ``name``.

    >>> nearest("resnet18", ["timm:resnet18.a1_in1k", "dinov2-small"])
    ['timm:resnet18.a1_in1k']
    """
    score = {}
    for candidate in names:
        forms = (candidate, candidate.split(":", 1)[-1], candidate.split(":", 1)[-1].split(".")[0])
        score[candidate] = max(difflib.SequenceMatcher(None, name.lower(), form.lower()).ratio() for form in forms)
    ranked = sorted(score, key=lambda candidate: -score[candidate])
    return [candidate for candidate in ranked[:count] if score[candidate] >= 0.5]


def get_card(name: str) -> EncoderCard:
    """The card of an encoder.

    Args:
        name: A named card (see :func:`list_cards`), ``timm:ARCH[.TAG]`` for any architecture of timm, or
            ``hf:OWNER/NAME`` for the hub repository of a named card.

    Raises:
        ModelError: no such encoder; the error gives the nearest names.
        DependencyError: a ``timm:`` name without a named card, and timm cannot be imported.

    >>> get_card("hf:facebook/dinov2-small").name
    'dinov2-small'
    """
    known = _ALIASES.get(name, name)
    if known in CARDS:
        return CARDS[known]
    if name.startswith("timm:"):
        from histoseed.encoders.timm_family import timm_card  # noqa: PLC0415  timm takes seconds to import

        return timm_card(name)
    close = nearest(name, [*CARDS, *_ALIASES])
    hint = f"The nearest names are {', '.join(close)}. " if close else ""
    raise ModelError(
        f"There is no encoder {name!r}.",
        where="encoder",
        fix=f"{hint}`histoseed encoders list` shows all; any architecture of timm is timm:ARCH[.TAG].",
    )


def list_cards(pattern: str = "*") -> list[EncoderCard]:
    """Named cards whose name matches a shell wildcard; nothing is downloaded and no model library is imported.

    A pattern that begins with ``timm:`` searches all pretrained architectures of timm as well (this imports timm).

    >>> [card.name for card in list_cards("dinov2-*")]
    ['dinov2-small', 'dinov2-base']
    """
    found = {name: card for name, card in CARDS.items() if fnmatch.fnmatchcase(name, pattern)}
    if pattern.startswith("timm:"):
        from histoseed.encoders.timm_family import timm_names  # noqa: PLC0415  timm takes seconds to import

        for name in timm_names(pattern):
            found.setdefault(name, get_card(name))
    return list(found.values())


def why_unavailable(card: EncoderCard) -> str | None:
    """Why the encoder cannot be built here, or None when it can; looks for packages, downloads and imports nothing."""
    if card.gated == "unavailable":
        return "its weights were never released"
    package = {"bundled": "torch", "timm": "timm", "transformers": "transformers"}[card.family]
    if importlib.util.find_spec(package) is None:
        extra = ' (pip install "histoseed[hf]")' if package == "transformers" else ""
        return f"the package {package} is not installed{extra}"
    return None
