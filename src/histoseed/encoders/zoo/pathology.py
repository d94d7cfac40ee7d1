"""Encoders pre-trained on histology that timm builds: plain vision transformers.

The hub's name is often that of the *architecture* only; what the weights need beyond it stands in ``build``. A wrong
entry there shows as a missing tensor or another shape when they are loaded, since loading is strict.
"""

from __future__ import annotations

from typing import Any

from histoseed.encoders.cards import HALF, IMAGENET, EncoderCard, Triple
from histoseed.encoders.zoo.forms import Tokens, one_stride

__all__ = ["PATHOLOGY"]

_TABLES = "architecture: TRIDENT, eva and timm; parameters counted on the meta device"

_BIOPTIMUS: tuple[Triple, Triple] = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
_LUNIT: tuple[Triple, Triple] = ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464))

_NC_ND: dict[str, Any] = {"licence": "cc-by-nc-nd-4.0", "commercial": "no"}
_KAIKO: dict[str, Any] = {"licence": "kaiko-non-commercial", "commercial": "no"}
_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "silu"}
_LAYER_SCALE = {"img_size": 224, "init_values": 1e-5}


def _vit(name: str, arch: str, tokens: Tokens, params: int, **facts: Any) -> EncoderCard:
    usual: dict[str, Any] = {
        "group": "pathology", "mean": IMAGENET[0], "std": IMAGENET[1], "native_size": 224, "mpp": 0.5,
        "evidence": _TABLES,
    }  # fmt: skip
    return one_stride(name, arch, tokens, params, **usual | facts)


def _kaiko(name: str, arch: str, tokens: Tokens, params: int) -> EncoderCard:
    return _vit(
        name, arch, tokens, params, **_KAIKO, mean=HALF[0], std=HALF[1],
        hub_id=f"1aurent/{arch}.kaiko_ai_towards_large_pathology_fms",
        citation="kaiko.ai et al., Towards Large-Scale Training of Pathology Foundation Models, 2024, arXiv:2404.15217",
    )  # fmt: skip


def _lunit(patch: int, params: int) -> EncoderCard:
    arch = f"vit_small_patch{patch}_224"
    return _vit(
        f"lunit-s{patch}", arch, (384, patch, 1), params, layout="dino", hub_id=f"1aurent/{arch}.lunit_dino",
        licence="lunit-non-commercial", commercial="no", mean=_LUNIT[0], std=_LUNIT[1],
        citation="Kang et al., Benchmarking Self-Supervised Learning on Diverse Pathology Datasets, CVPR 2023",
        evidence=f"{_TABLES}; trained at 0.25 and 0.5 microns per pixel",
    )  # fmt: skip


PATHOLOGY = (
    _vit("uni", "vit_large_patch16_224", (1024, 16, 1), 303_350_784, **_NC_ND, build=_LAYER_SCALE, gated="click",
         hub_id="MahmoodLab/UNI", filename="pytorch_model.bin",
         citation="Chen et al., Towards a general-purpose foundation model for computational pathology, "
                  "Nature Medicine 2024"),
    _vit("uni2-h", "vit_giant_patch14_224", (1536, 14, 9), 681_394_176, **_NC_ND, gated="click",
         build={**_LAYER_SCALE, **_SWIGLU, "patch_size": 14, "depth": 24, "num_heads": 24, "embed_dim": 1536,
                "mlp_ratio": 5.33334, "no_embed_class": True, "reg_tokens": 8},
         hub_id="MahmoodLab/UNI2-h",
         citation="Chen et al., Towards a general-purpose foundation model for computational pathology, "
                  "Nature Medicine 2024"),
    _vit("virchow", "vit_huge_patch14_224", (1280, 14, 1), 631_229_184, gated="click",
         build={**_LAYER_SCALE, **_SWIGLU, "mlp_ratio": 5.3375, "global_pool": ""},
         hub_id="paige-ai/Virchow", licence="apache-2.0", commercial="unknown",
         citation="Vorontsov et al., A foundation model for clinical-grade computational pathology, "
                  "Nature Medicine 2024",
         evidence=f"{_TABLES}; sources disagree on the licence (Apache-2.0 or CC-BY-NC-ND-4.0): read its page"),
    _vit("virchow2", "vit_huge_patch14_224", (1280, 14, 5), 631_239_424, **_NC_ND, gated="click",
         build={**_LAYER_SCALE, **_SWIGLU, "mlp_ratio": 5.3375, "global_pool": "", "reg_tokens": 4},
         hub_id="paige-ai/Virchow2",
         citation="Zimmermann et al., Virchow2: Scaling Self-Supervised Mixed Magnification Models in Pathology, "
                  "2024, arXiv:2408.00738"),
    _vit("gigapath", "vit_giant_patch14_dinov2", (1536, 16, 1), 1_134_953_984, gated="click",
         build={"patch_size": 16, "img_size": 224, "embed_dim": 1536, "depth": 40, "num_heads": 24,
                "mlp_ratio": 5.33334},
         hub_id="prov-gigapath/prov-gigapath",
         licence="apache-2.0 with conditions (research only)", commercial="no",
         citation="Xu et al., A whole-slide foundation model for digital pathology from real-world data, Nature 2024"),
    _vit("h-optimus-0", "vit_giant_patch14_reg4_dinov2", (1536, 14, 5), 1_134_774_272, gated="click",
         build={**_LAYER_SCALE, "global_pool": "token"}, hub_id="bioptimus/H-optimus-0",
         licence="apache-2.0", commercial="yes", mean=_BIOPTIMUS[0], std=_BIOPTIMUS[1],
         citation="Saillard et al., H-optimus-0, 2024, github.com/bioptimus/releases",
         evidence=f"{_TABLES}; sources disagree on whether a login is needed"),
    _vit("h-optimus-1", "vit_giant_patch14_reg4_dinov2", (1536, 14, 5), 1_134_774_272, **_NC_ND, gated="manual",
         build={**_LAYER_SCALE, "global_pool": "token"}, hub_id="bioptimus/H-optimus-1", mean=_BIOPTIMUS[0],
         std=_BIOPTIMUS[1], citation="Bioptimus, H-optimus-1, 2025, huggingface.co/bioptimus/H-optimus-1"),
    _vit("h0-mini", "vit_base_patch14_reg4_dinov2", (768, 14, 5), 85_739_520, **_NC_ND, gated="manual",
         build={**_LAYER_SCALE, **_SWIGLU, "mlp_ratio": 5.33334}, hub_id="bioptimus/H0-mini", mean=_BIOPTIMUS[0],
         std=_BIOPTIMUS[1],
         citation="Filiot et al., Distilling foundation models for robust and efficient models in digital pathology, "
                  "2025, arXiv:2501.16239"),
    _kaiko("kaiko-s16", "vit_small_patch16_224", (384, 16, 1), 21_665_664),
    _kaiko("kaiko-s8", "vit_small_patch8_224", (384, 8, 1), 21_670_272),
    _kaiko("kaiko-b16", "vit_base_patch16_224", (768, 16, 1), 85_798_656),
    _kaiko("kaiko-b8", "vit_base_patch8_224", (768, 8, 1), 85_807_872),
    _kaiko("kaiko-l14", "vit_large_patch14_reg4_dinov2", (1024, 14, 5), 304_370_688),
    _vit("gpfm", "vit_large_patch14_dinov2", (1024, 14, 1), 303_227_904, **_NC_ND, build=_LAYER_SCALE,
         layout="dinov2", hub_id="majiabo/GPFM", filename="GPFM.pth",
         citation="Ma et al., A generalizable pathology foundation model using a unified knowledge distillation "
                  "pretraining framework, Nature Biomedical Engineering 2025"),
    _vit("mstar", "vit_large_patch16_224", (1024, 16, 1), 303_350_784, **_NC_ND, build=_LAYER_SCALE, gated="click",
         hub_id="Wangyh/mSTAR", filename="mSTAR.pth",
         citation="Xu et al., A Multimodal Knowledge-enhanced Whole-slide Pathology Foundation Model, 2024, "
                  "arXiv:2407.15362"),
    _lunit(16, 21_665_664),
    _lunit(8, 21_670_272),
    _vit("openmidnight", "vit_giant_patch14_reg4_dinov2", (1536, 14, 5), 1_134_774_272, gated="click",
         build=_LAYER_SCALE, layout="dinov2", hub_id="SophontAI/OpenMidnight",
         filename="teacher_checkpoint_load.pt", licence="apache-2.0", commercial="yes",
         citation="Sophont, OpenMidnight, 2025, huggingface.co/SophontAI/OpenMidnight"),
    _vit("conch", "vit_base_patch16_224", (768, 16, 1), 86_250_240, **_NC_ND, build={"img_size": 448}, gated="click",
         layout="trunk", hub_id="MahmoodLab/conch", filename="pytorch_model.bin", native_size=448,
         citation="Lu et al., A visual-language foundation model for computational pathology, Nature Medicine 2024",
         evidence="vision trunk only, without its attentional poolers; configuration in the authors' repository"),
    _vit("conch-v1.5", "vit_large_patch16_224", (1024, 16, 1), 303_952_896, **_NC_ND, gated="click",
         build={"img_size": 448, "init_values": 1.0}, layout="trunk", hub_id="MahmoodLab/conchv1_5",
         filename="pytorch_model_vision.bin", native_size=448,
         citation="Ding et al., A multimodal whole-slide foundation model for pathology, Nature Medicine 2025",
         evidence="vision trunk only, without its attentional pooler; architecture as in the authors' repository"),
)  # fmt: skip
"""The cards of this file."""
