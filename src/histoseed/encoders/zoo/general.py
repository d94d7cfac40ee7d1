"""Encoders pre-trained on everyday pictures: DINOv2, DINOv3, ImageNet-22k, and small ones for comparison."""

from __future__ import annotations

from typing import Any

from histoseed.encoders.cards import CLIP, HALF, IMAGENET, EncoderCard
from histoseed.encoders.zoo.forms import Tokens, one_stride, stages

__all__ = ["GENERAL"]

_TIMM = "timm 1.0.31 pretrained cfg; parameters counted on the meta device"
_HF = "config.json on the hub; parameters counted on the meta device with transformers 5.23"

_APACHE: dict[str, Any] = {"licence": "apache-2.0", "commercial": "yes", "evidence": _TIMM}
_MIT = _APACHE | {"licence": "mit"}
_CC_NC = _APACHE | {"licence": "cc-by-nc-4.0", "commercial": "no"}
_META = _APACHE | {"licence": "dinov3-license", "commercial": "unknown"}
_NVIDIA = _APACHE | {"licence": "nvidia-open-model-license", "commercial": "unknown"}
_IN: dict[str, Any] = {"mean": IMAGENET[0], "std": IMAGENET[1], "native_size": 224}
_HALF = _IN | {"mean": HALF[0], "std": HALF[1]}
_CLIP = _IN | {"mean": CLIP[0], "std": CLIP[1]}

_DINOV2 = {"citation": "Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024"}
_DINOV3 = {"citation": "Simeoni et al., DINOv3, 2025, arXiv:2508.10104"}
_AUGREG = {"citation": "Steiner et al., How to train your ViT?, TMLR 2022"}
_RESNET = {"citation": "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"}
_SWIN = {"citation": "Liu et al., Swin Transformer, ICCV 2021"}
_SWINV2 = {"citation": "Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution, CVPR 2022"}
_CONVNEXT = {"citation": "Liu et al., A ConvNet for the 2020s, CVPR 2022"}
_CONVNEXTV2 = {"citation": "Woo et al., ConvNeXt V2, CVPR 2023"}
_MAXVIT = {"citation": "Tu et al., MaxViT: Multi-Axis Vision Transformer, ECCV 2022"}
_COATNET = {"citation": "Dai et al., CoAtNet: Marrying Convolution and Attention for All Data Sizes, NeurIPS 2021"}
_CAFORMER = {"citation": "Yu et al., MetaFormer Baselines for Vision, TPAMI 2024"}
_EVA02 = {"citation": "Fang et al., EVA-02: A Visual Representation for Neon Genesis, 2024"}
_PE = {"citation": "Bolya et al., Perception Encoder, 2025, arXiv:2504.13181"}
_RADIO = {"citation": "Heinrich et al., RADIOv2.5, CVPR 2025"}
_MOBILENET = {"citation": "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018"}

_T, _B, _L = (96, 192, 384, 768), (128, 256, 512, 1024), (192, 384, 768, 1536)


def _dinov2(size: str, dim: int, depth: int, heads: int, params: int) -> EncoderCard:
    build: dict[str, Any] = {
        "hidden_size": dim, "num_hidden_layers": depth, "num_attention_heads": heads, "image_size": 518,
        "patch_size": 14,
    }  # fmt: skip
    return one_stride(
        f"dinov2-{size}", "Dinov2Model", (dim, 14, 1), params, family="transformers", hub_id=f"facebook/dinov2-{size}",
        filename="model.safetensors", build=build | ({"use_swiglu_ffn": True} if size == "giant" else {}),
        **_APACHE | _IN | _DINOV2 | {"native_size": 518, "evidence": _HF},
    )  # fmt: skip


def _timm_vit(
    arch: str, tokens: Tokens, params: int, facts: dict[str, Any], *, size: int = 224, name: str = ""
) -> EncoderCard:
    hosted = {"hub_id": f"timm/{arch}", "native_size": size}
    return one_stride(name or f"timm:{arch}", arch, tokens, params, **facts | hosted)


def _timm_stages(
    arch: str, dims: tuple[int, ...], params: int, facts: dict[str, Any], *, size: int = 224, name: str = ""
) -> EncoderCard:
    return stages(name or f"timm:{arch}", arch, dims, params, **facts | {"hub_id": f"timm/{arch}", "native_size": size})


def _dinov3(size: str, dim: int, params: int) -> EncoderCard:
    arch = f"vit_{size.replace('-', '_')}_patch16_dinov3.lvd1689m"
    return _timm_vit(arch, (dim, 16, 5), params, _META | _IN | _DINOV3, size=256, name=f"dinov3-{size}")


def _dinov3_convnext(size: str, dims: tuple[int, ...], params: int) -> EncoderCard:
    facts = _META | _IN | _DINOV3
    return _timm_stages(f"convnext_{size}.dinov3_lvd1689m", dims, params, facts, name=f"dinov3-convnext-{size}")


_SELF_SUPERVISED = (
    _dinov2("small", 384, 12, 6, 22_056_576),
    _dinov2("base", 768, 12, 12, 86_580_480),
    _dinov2("large", 1024, 24, 16, 304_368_640),
    _dinov2("giant", 1536, 40, 24, 1_136_480_768),
    *(
        _timm_vit(f"vit_{size}_patch14_reg4_dinov2.lvd142m", (dim, 14, 5), params, _APACHE | _IN | _DINOV2, size=518)
        for size, dim, params in (
            ("small", 384, 22_057_344),
            ("base", 768, 86_582_016),
            ("large", 1024, 304_370_688),
            ("giant", 1536, 1_136_483_840),
        )
    ),
    _dinov3("small", 384, 21_586_944),
    _dinov3("small-plus", 384, 28_683_264),
    _dinov3("base", 768, 85_641_216),
    _dinov3("large", 1024, 303_079_424),
    _dinov3("huge-plus", 1280, 840_509_440),
    _dinov3("7b", 4096, 6_716_030_976),
    _dinov3_convnext("tiny", _T, 27_820_128),
    _dinov3_convnext("small", _T, 49_454_688),
    _dinov3_convnext("base", _B, 87_566_464),
    _dinov3_convnext("large", _L, 196_230_336),
    _timm_vit("eva02_large_patch14_224.mim_m38m", (1024, 14, 1), 303_268_800, _MIT | _CLIP | _EVA02),
    _timm_vit("vit_pe_spatial_base_patch16_512.fb", (768, 16, 1), 86_433_792, _APACHE | _HALF | _PE, size=512),
    _timm_vit("vit_pe_spatial_large_patch14_448.fb", (1024, 14, 1), 303_964_160, _APACHE | _HALF | _PE, size=448),
    _timm_vit("vit_base_patch16_radio_v3.c_radio", (768, 16, 8), 86_456_064, _NVIDIA | _CLIP | _RADIO, size=512),
    _timm_vit("vit_large_patch16_radio_v3.c_radio", (1024, 16, 8), 304_202_752, _NVIDIA | _CLIP | _RADIO, size=512),
)

_IMAGENET_22K = (
    _timm_vit("vit_tiny_patch16_224.augreg_in21k", (192, 16, 1), 5_524_416, _APACHE | _HALF | _AUGREG),
    _timm_vit("vit_small_patch16_224.augreg_in21k", (384, 16, 1), 21_665_664, _APACHE | _HALF | _AUGREG),
    _timm_vit("vit_base_patch16_224.augreg_in21k", (768, 16, 1), 85_798_656, _APACHE | _HALF | _AUGREG),
    _timm_vit("vit_large_patch16_224.augreg_in21k", (1024, 16, 1), 303_301_632, _APACHE | _HALF | _AUGREG),
    _timm_vit("vit_base_patch8_224.augreg_in21k", (768, 8, 1), 85_807_872, _APACHE | _HALF | _AUGREG),
    _timm_stages("swin_tiny_patch4_window7_224.ms_in22k", _T, 27_519_354, _MIT | _IN | _SWIN),
    _timm_stages("swin_small_patch4_window7_224.ms_in22k", _T, 48_837_258, _MIT | _IN | _SWIN),
    _timm_stages("swin_base_patch4_window7_224.ms_in22k", _B, 86_743_224, _MIT | _IN | _SWIN),
    _timm_stages("swin_large_patch4_window7_224.ms_in22k", _L, 194_995_476, _MIT | _IN | _SWIN),
    _timm_stages("swinv2_base_window12_192.ms_in22k", _B, 86_893_816, _MIT | _IN | _SWINV2, size=192),
    _timm_stages("swinv2_large_window12_192.ms_in22k", _L, 195_202_932, _MIT | _IN | _SWINV2, size=192),
    _timm_stages("convnext_tiny.fb_in22k", _T, 27_820_128, _APACHE | _IN | _CONVNEXT),
    _timm_stages("convnext_small.fb_in22k", _T, 49_454_688, _APACHE | _IN | _CONVNEXT),
    _timm_stages("convnext_base.fb_in22k", _B, 87_566_464, _APACHE | _IN | _CONVNEXT),
    _timm_stages("convnext_large.fb_in22k", _L, 196_230_336, _APACHE | _IN | _CONVNEXT),
    _timm_stages("convnext_xlarge.fb_in22k", (256, 512, 1024, 2048), 348_147_968, _APACHE | _IN | _CONVNEXT),
    _timm_stages("convnextv2_tiny.fcmae_ft_in22k_in1k", _T, 27_866_496, _CC_NC | _IN | _CONVNEXTV2),
    _timm_stages("convnextv2_base.fcmae_ft_in22k_in1k", _B, 87_692_800, _CC_NC | _IN | _CONVNEXTV2),
    _timm_stages("convnextv2_large.fcmae_ft_in22k_in1k", _L, 196_419_840, _CC_NC | _IN | _CONVNEXTV2),
    _timm_stages("maxvit_base_tf_224.in21k", (64, *_T), 118_698_708, _APACHE | _HALF | _MAXVIT),
    _timm_stages("maxvit_large_tf_224.in21k", (128, *_B), 210_760_560, _APACHE | _HALF | _MAXVIT),
    _timm_stages("maxvit_xlarge_tf_224.in21k", (192, *_L), 473_414_952, _APACHE | _HALF | _MAXVIT),
    _timm_stages("coatnet_2_rw_224.sw_in12k", (128, *_B), 72_843_400, _APACHE | _HALF | _COATNET),
    _timm_stages("caformer_b36.sail_in22k", (128, 256, 512, 768), 93_312_102, _APACHE | _IN | _CAFORMER),
)

_IMAGENET_1K = (
    _timm_stages("maxvit_tiny_tf_512.in1k", (64, 64, 128, 256, 512), 30_536_584, _APACHE | _HALF | _MAXVIT, size=512),
    _timm_stages("resnet18.a1_in1k", (64, 64, 128, 256, 512), 11_176_512, _APACHE | _IN | _RESNET),
    _timm_stages("resnet50.a1_in1k", (64, 256, 512, 1024, 2048), 23_508_032, _APACHE | _IN | _RESNET),
    stages(
        "mobilenet-v2", "mobilenetv2_100", (16, 24, 32, 96, 320), 2_223_872, layout="torchvision",
        page="https://github.com/google-coral/test_data", **_APACHE | _HALF | _MOBILENET
        | {"evidence": "TensorFlow's MobileNetV2 1.0 for pixels in [-1, 1]; give its weights as a file in the naming "
                       "of torchvision or timm. With torchvision's own weights use timm:mobilenetv2_100"},
    ),
)  # fmt: skip

GENERAL = (*_SELF_SUPERVISED, *_IMAGENET_22K, *_IMAGENET_1K)
"""The cards of this file."""
