"""Cards of promptable models: what each is, where its weights are, how it sees a window. Data, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from histoseed.encoders.cards import IMAGENET, EncoderCard, Triple
from histoseed.licences import Commercial

__all__ = ["CARDS", "TRIALS", "Arch", "Pixels", "PromptableCard", "Resize"]

Arch = Literal["sam", "sam-hq", "sam2", "mobile-sam"]
Resize = Literal["longest-side", "stretched"]
Pixels = Literal["constants", "window-range", "channel-range"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptableCard:
    """What is known of a promptable model before anything of it is downloaded.

    Args:
        name: What the user types.
        arch: The class of transformers behind it (``SamModel``, ``SamHQModel``, ``Sam2Model``, and ``SamModel`` with
            timm's TinyViT); None: it cannot be built, see ``reason``.
        build: Options of its parts ``vision``, ``prompt`` and ``decoder``, of ``sam2`` and ``mobile-sam`` also
            ``trunk``, that differ from the defaults of the class; JSON values only.
        aliases: Other names that people use.
        params: Number of parameters, counted; of SAM 2 without its memory, which single images do not use.
        resize: ``longest-side``: the window's longer side becomes the side of the network's square, the rest is padded;
            ``stretched``: both sides do.
        pixels: ``constants``: mean and standard deviation; ``window-range``: stretched from the least to the greatest
            value of the window, to [0, 1], no constants; ``channel-range``: each channel stretched like that to 8 bits
            first, then the constants.
        mean: Mean of each channel (R, G, B) of pixels in [0, 1].
        std: Standard deviation of each channel.
        stored_as: Name of the encoder card for the same file, whose place in the store of weights it shares.
        hub_id: Repository on the Hugging Face hub; None where there is none.
        filename: File in that repository, or what the file is called elsewhere.
        revision: Commit of that repository; None until the first download records it.
        sha256: Hex digest of the file; None until the first download records it.
        licence: Identifier of the weights' licence; None where the source states none.
        commercial: Whether that licence allows commercial use.
        reason: Why it cannot be built.
        page: Where the licence stands and the file is handed out.
        citation: The paper to cite.
        evidence: Where these facts come from.
    """

    name: str
    arch: Arch | None
    build: Mapping[str, Any] = field(default_factory=dict, hash=False)
    aliases: tuple[str, ...] = ()
    params: int | None = None
    resize: Resize = "longest-side"
    pixels: Pixels = "constants"
    mean: Triple = IMAGENET[0]
    std: Triple = IMAGENET[1]
    stored_as: str | None = None
    hub_id: str | None = None
    filename: str | None = None
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    commercial: Commercial = "unknown"
    reason: str | None = None
    page: str | None = None
    citation: str | None = None
    evidence: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card as JSON values (tuples become lists)."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def weights_card(self) -> EncoderCard:
        """The same facts as the store of weights and the hub's client take them."""
        return EncoderCard(
            name=self.stored_as or self.name, family="transformers" if self.arch else "none", arch=self.arch or "none",
            group="segment-anything", hub_id=self.hub_id, filename=self.filename, revision=self.revision,
            sha256=self.sha256, licence=self.licence, commercial=self.commercial, reason=self.reason,
            page=self.page or (f"https://huggingface.co/{self.hub_id}" if self.hub_id else None),
        )  # fmt: skip


def _vit(width: int, depth: int, heads: int) -> dict[str, Any]:
    """A SAM image encoder: every fourth part of its depth ends with global attention."""
    step = depth // 4
    vision = {
        "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads,
        "global_attn_indexes": list(range(step - 1, depth, step)),
    }  # fmt: skip
    return {"vision": vision}


_VITS = {"b": ("base", _vit(768, 12, 12)), "l": ("large", _vit(1024, 24, 16)), "h": ("huge", _vit(1280, 32, 16))}
_SAM_PARAMS = {"b": 93_735_728, "l": 312_343_088, "h": 641_090_864}
_HQ_PARAMS = {"b": 94_806_832, "l": 313_676_336, "h": 642_686_256}

_APACHE: dict[str, Any] = {"licence": "apache-2.0", "commercial": "yes"}
_SAM = "Kirillov et al., Segment Anything, ICCV 2023"
_SAM2 = "Ravi et al., SAM 2: Segment Anything in Images and Videos, ICLR 2025"
_AS_SA = "sizes and preparation of the window as in segment-anything 1.0, with which its answers are compared"


def _sam(size: str) -> PromptableCard:
    word, build = _VITS[size]
    return PromptableCard(
        name=f"sam-vit-{size}", arch="sam", build=build, aliases=(f"sam-{size}", f"sam-vit-{word}"),
        params=_SAM_PARAMS[size], hub_id=f"facebook/sam-vit-{word}", **_APACHE, citation=_SAM, evidence=_AS_SA,
    )  # fmt: skip


def _hq(size: str) -> PromptableCard:
    word, build = _VITS[size]
    build = build | {"decoder": {"vit_dim": build["vision"]["hidden_size"]}}
    return PromptableCard(
        name=f"sam-hq-vit-{size}", arch="sam-hq", build=build,
        aliases=(f"sam-hq-{size}", f"sam-hq-vit-{word}"), params=_HQ_PARAMS[size], stored_as=f"sam-hq-{size}",
        hub_id=f"syscv-community/sam-hq-vit-{word}", **_APACHE,
        citation="Ke et al., Segment Anything in High Quality, NeurIPS 2023",
        evidence="as in segment-anything-hq 0.3, with which its answers are compared",
    )  # fmt: skip


def _pathosam(size: str) -> PromptableCard:
    return PromptableCard(
        name=f"pathosam-vit-{size}", arch="sam", build=_VITS[size][1], aliases=(f"pathosam-{size}",),
        params=_SAM_PARAMS[size], pixels="channel-range", stored_as=f"pathosam-{size}",
        filename=f"vit_{size}_histopathology", page="https://github.com/computational-cell-analytics/patho-sam",
        citation="Griebel et al., Segment Anything for Histopathology, MIDL 2025, arXiv:2502.00408",
        evidence="micro-sam 1.8.14 loads the file into segment-anything's network and stretches each channel of a "
                 "picture first; the licence of the weights is not stated",
    )  # fmt: skip


def _hiera(size: str, word: str, params: int, trunk: dict[str, Any]) -> PromptableCard:
    name = f"sam2.1-hiera-{word}"
    return PromptableCard(
        name=f"sam2.1-hiera-{size}", arch="sam2", aliases=(name, f"sam2.1-{word}", f"sam2.1-{size}"), params=params,
        build={"trunk": trunk, "vision": {"backbone_channel_list": trunk["embed_dim_per_stage"][::-1]}},
        resize="stretched", hub_id=f"facebook/{name}", **_APACHE, citation=_SAM2,
        evidence="sizes and preparation of the window as in sam2 1.1.0, with which its answers are compared",
    )  # fmt: skip


def _trunk(
    width: int, heads: int, *, blocks: list[int], everywhere: list[int], background: int = 7, windows: list[int]
) -> dict[str, Any]:
    """A Hiera image encoder: width and heads double at each of its four stages."""
    return {
        "hidden_size": width, "num_attention_heads": heads, "blocks_per_stage": blocks,
        "embed_dim_per_stage": [width << stage for stage in range(4)],
        "num_attention_heads_per_stage": [heads << stage for stage in range(4)], "window_size_per_stage": windows,
        "global_attention_blocks": everywhere, "window_positional_embedding_background_size": [background] * 2,
    }  # fmt: skip


_USUAL = [8, 4, 14, 7]
_TRUNKS = {
    "t": _trunk(96, 1, blocks=[1, 2, 7, 2], everywhere=[5, 7, 9], windows=_USUAL),
    "s": _trunk(96, 1, blocks=[1, 2, 11, 2], everywhere=[7, 10, 13], windows=_USUAL),
    "b+": _trunk(112, 2, blocks=[2, 3, 16, 3], everywhere=[12, 16, 20], background=14, windows=_USUAL),
    "l": _trunk(144, 2, blocks=[2, 6, 36, 4], everywhere=[23, 33, 43], windows=[8, 4, 16, 8]),
}

_CARDS = (
    *(_sam(size) for size in _VITS),
    *(_hq(size) for size in _VITS),
    _hiera("t", "tiny", 31_440_721, _TRUNKS["t"]),
    _hiera("s", "small", 38_538_577, _TRUNKS["s"]),
    _hiera("b+", "base-plus", 73_328_401, _TRUNKS["b+"]),
    _hiera("l", "large", 216_924_865, _TRUNKS["l"]),
    PromptableCard(
        name="medsam", arch="sam", build=_VITS["b"][1], aliases=("medsam-vit-b",), params=_SAM_PARAMS["b"],
        stored_as="medsam",
        resize="stretched", pixels="window-range", hub_id="wanglab/medsam-vit-base", **_APACHE,
        citation="Ma et al., Segment anything in medical images, Nature Communications 2024",
        evidence="the authors' MedSAM_Inference.py: stretched to 1024 x 1024 (bicubic), from least to greatest value",
    ),
    *(_pathosam(size) for size in _VITS),
    PromptableCard(
        name="mobile-sam", arch="mobile-sam", params=9_808_708,
        build={"trunk": {"embed_dims": [64, 128, 160, 320], "depths": [2, 2, 6, 2], "num_heads": [2, 4, 5, 10]}},
        filename="mobile_sam.pt", page="https://github.com/ChaoningZhang/MobileSAM", **_APACHE,
        citation="Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
        evidence="its image encoder is compared with the copy in segment-anything-hq 0.3; the published file was not "
                 "at hand",
    ),
    PromptableCard(
        name="sam3", arch=None, reason="its weights are given out after a manual review, many are rejected, and their "
        "tensors could not be compared with what would be built", page="https://huggingface.co/facebook/sam3",
        licence="SAM License (Meta)", citation="Carion et al., SAM 3: Segment Anything with Concepts, 2025",
        evidence="the page of the repository",
    ),
)  # fmt: skip

CARDS: Mapping[str, PromptableCard] = {card.name: card for card in _CARDS}
"""Every named card of this release."""


def _trial(name: str, arch: Arch, build: Mapping[str, Any]) -> PromptableCard:
    return PromptableCard(
        name=name, arch=arch, build=build, licence="apache-2.0", commercial="yes",
        citation="none: nothing was published", evidence="a few small blocks of the real classes",
    )  # fmt: skip


_SIDE, _WIDTH = 256, 32
_PROMPT = {"hidden_size": _WIDTH, "image_size": _SIDE}
_SMALL_SAM = {
    "vision": {
        "hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3, "global_attn_indexes": [1, 3],
        "image_size": _SIDE, "output_channels": _WIDTH, "num_pos_feats": _WIDTH // 2, "window_size": 6,
    },
    "prompt": _PROMPT,
    "decoder": {"hidden_size": _WIDTH, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": 40},
}  # fmt: skip
_SMALL_SAM2 = {
    "trunk": {
        "hidden_size": 16, "num_attention_heads": 1, "blocks_per_stage": [1, 2, 3, 1],
        "embed_dim_per_stage": [16, 32, 64, 128], "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 14, 7], "global_attention_blocks": [4], "image_size": [_SIDE, _SIDE],
    },
    "vision": {
        "backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": _WIDTH,
        "backbone_feature_sizes": [[_SIDE // 4] * 2, [_SIDE // 8] * 2, [_SIDE // 16] * 2],
    },
    "prompt": _PROMPT,
    "decoder": {"hidden_size": _WIDTH},
}  # fmt: skip

TRIALS: Mapping[str, PromptableCard] = {
    card.name: card for card in (_trial("tiny-sam", "sam", _SMALL_SAM), _trial("tiny-sam2", "sam2", _SMALL_SAM2))
}
"""Networks of a few small blocks with random weights, on squares of 256 pixels: to see within seconds that something
runs. They outline nothing, and are in no list."""
