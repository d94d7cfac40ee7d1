"""Image encoders of the Segment Anything family, and what was trained from them for medicine and histology."""

from __future__ import annotations

from typing import Any

from histoseed.encoders.cards import AS_IT_IS, HALF, IMAGENET, EncoderCard, Gate
from histoseed.encoders.zoo.forms import one_stride, stages

__all__ = ["SEGMENT_ANYTHING"]

_COUNTED = "timm 1.0.31; parameters of the image encoder counted on the meta device"
_SIZES = {"b": ("base", 768, 89_670_912), "l": ("large", 1024, 308_278_272), "h": ("huge", 1280, 637_026_048)}

_APACHE: dict[str, Any] = {"licence": "apache-2.0", "commercial": "yes"}
_USUAL: dict[str, Any] = {
    "group": "segment-anything", "mean": IMAGENET[0], "std": IMAGENET[1], "native_size": 1024, "evidence": _COUNTED,
}  # fmt: skip
_SAM = {"citation": "Kirillov et al., Segment Anything, ICCV 2023"}
_SAM2 = {"citation": "Ravi et al., SAM 2: Segment Anything in Images and Videos, ICLR 2025"}


def _sam(name: str, size: str, **facts: Any) -> EncoderCard:
    """A plain SAM image encoder; files of Meta, of transformers and of micro-sam are read."""
    word, dim, params = _SIZES[size]
    arch = f"samvit_{word}_patch16.sa1b"
    return one_stride(name, arch, (dim, 16, 0), params, layout="sam", **_USUAL | _SAM | facts)


def _released(size: str) -> EncoderCard:
    return _sam(f"sam-{size}", size, hub_id=f"timm/samvit_{_SIZES[size][0]}_patch16.sa1b", **_APACHE)


def _as_cellvit(size: str) -> EncoderCard:
    return _sam(
        f"sam-{size}-cellvit", size, hub_id=f"timm/samvit_{_SIZES[size][0]}_patch16.sa1b", **_APACHE,
        mean=HALF[0], std=HALF[1], build={"pos_embed_mode": "crop"},
        evidence=f"{_COUNTED}; as CellViT runs it: pixels in [-1, 1], the corner of the position table and not a "
                 "resampled one",
    )  # fmt: skip


def _pathosam(size: str) -> EncoderCard:
    return _sam(
        f"pathosam-{size}", size, filename=f"vit_{size}_histopathology",
        page="https://github.com/computational-cell-analytics/patho-sam", licence=None, commercial="unknown",
        citation="Griebel et al., Segment Anything for Histopathology, MIDL 2025, arXiv:2502.00408",
        evidence=f"{_COUNTED}; micro-sam serves the file as model type vit_{size}_histopathology; the licence of the "
                 "weights is not stated",
    )  # fmt: skip


def _hiera(name: str, arch: str, dims: tuple[int, ...], params: int, native: int) -> EncoderCard:
    return stages(f"sam2.1-{name}", arch, dims, params, layout="sam2", hub_id=f"timm/{arch}",
                  **_USUAL | _APACHE | _SAM2 | {"native_size": native})  # fmt: skip


def _away(name: str, arch: str, reason: str, *, gated: Gate = "none", **facts: Any) -> EncoderCard:
    return EncoderCard(
        name=name, family="none", arch=arch, group="segment-anything", gated=gated, reason=reason, **facts
    )


SEGMENT_ANYTHING = (
    *(_released(size) for size in _SIZES),
    _hiera("tiny", "sam2_hiera_tiny.fb_r896_2pt1", (96, 192, 384, 768), 26_851_008, 896),
    _hiera("small", "sam2_hiera_small.fb_r896_2pt1", (96, 192, 384, 768), 33_948_864, 896),
    _hiera("base-plus", "sam2_hiera_base_plus.fb_r896_2pt1", (112, 224, 448, 896), 68_677_504, 896),
    _hiera("large", "sam2_hiera_large.fb_r1024_2pt1", (144, 288, 576, 1152), 212_151_600, 1024),
    _sam(
        "medsam", "b", hub_id="wanglab/medsam-vit-base", **_APACHE, mean=AS_IT_IS[0], std=AS_IT_IS[1],
        citation="Ma et al., Segment anything in medical images, Nature Communications 2024",
        evidence=f"{_COUNTED}; that it takes pixels in [0, 1] without mean and deviation is not confirmed",
    ),
    *(_pathosam(size) for size in _SIZES),
    *(_as_cellvit(size) for size in _SIZES),
    *(
        _sam(
            f"sam-hq-{size}", size, hub_id=f"syscv-community/sam-hq-vit-{_SIZES[size][0]}", **_APACHE,
            citation="Ke et al., Segment Anything in High Quality, NeurIPS 2023",
        )
        for size in _SIZES
    ),
    _away(
        "sam3", "Sam3ViTModel", "its weights are given out after a manual review, many are rejected, and their tensors "
        "could not be compared with what would be built", gated="manual", hub_id="facebook/sam3",
        page="https://huggingface.co/facebook/sam3", licence="SAM License (Meta)", native_size=1008,
    ),
    _away(
        "mobile-sam", "TinyViT-5M with a stride of 16", "timm's TinyViT has a stride of 32 in its last stage, so that "
        "the weights would not mean the same", page="https://github.com/ChaoningZhang/MobileSAM", **_APACHE,
        native_size=1024, citation="Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
    ),
    _away("edge-tam", "RepViT", "neither the layout of its file nor its licence could be confirmed"),
    _away("efficient-sam", "ViT-T / ViT-S", "neither the layout of its files nor their licence could be confirmed",
          page="https://github.com/yformer/EfficientSAM"),
)  # fmt: skip
"""The cards of this file."""
