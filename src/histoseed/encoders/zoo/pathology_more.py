"""Encoders pre-trained on histology of other make (CLIP, DINOv2 of transformers, Swin), and those out of reach."""

from __future__ import annotations

from typing import Any

from histoseed.encoders.cards import CLIP, HALF, IMAGENET, EncoderCard, Gate, Triple
from histoseed.encoders.zoo.forms import one_stride, stages

__all__ = ["PATHOLOGY_MORE"]

_HIBOU: tuple[Triple, Triple] = ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))
_GENBIO: tuple[Triple, Triple] = ((0.697, 0.575, 0.728), (0.188, 0.240, 0.187))

_USUAL: dict[str, Any] = {"group": "pathology", "native_size": 224, "mean": IMAGENET[0], "std": IMAGENET[1]}
_NC_ND: dict[str, Any] = {"licence": "cc-by-nc-nd-4.0", "commercial": "no"}
_OWKIN: dict[str, Any] = {"licence": "owkin-non-commercial", "commercial": "no", "mpp": 0.5}
_APACHE: dict[str, Any] = {"licence": "apache-2.0", "commercial": "yes", "mpp": 0.5}
_QUILT: dict[str, Any] = _USUAL | {
    "licence": "mit", "commercial": "yes", "mean": CLIP[0], "std": CLIP[1], "filename": "open_clip_pytorch_model.bin",
    "citation": "Ikezogwo et al., Quilt-1M: One Million Image-Text Pairs for Histopathology, NeurIPS 2023",
}  # fmt: skip
_GELU = "vision tower only; that its activation is GELU and not CLIP's quick GELU is not confirmed"


def _hibou(size: str, dim: int, depth: int, heads: int, params: int) -> EncoderCard:
    hub_id = f"histai/hibou-{size}"
    build = {"hidden_size": dim, "num_hidden_layers": depth, "num_attention_heads": heads, "patch_size": 14,
             "image_size": 224, "num_register_tokens": 4, "use_swiglu_ffn": True}  # fmt: skip
    return one_stride(
        f"hibou-{size.lower()}", "Dinov2WithRegistersModel", (dim, 14, 5), params, family="transformers", build=build,
        hub_id=hub_id, filename="model.safetensors", **_USUAL | _APACHE | {"mean": _HIBOU[0], "std": _HIBOU[1]},
        citation="Nechaev et al., Hibou: A Family of Foundational Vision Transformers for Pathology, 2024, "
                 "arXiv:2406.05074",
        evidence="config.json on the hub; built by transformers' own class, the repository's code is not run; sources "
                 "disagree on whether a login is needed",
    )  # fmt: skip


def _away(name: str, arch: str, reason: str, *, gated: Gate = "none", **facts: Any) -> EncoderCard:
    """A card without a builder: it says why."""
    return EncoderCard(name=name, family="none", arch=arch, group="pathology", gated=gated, reason=reason, **facts)


_BUILT = (
    one_stride(
        "phikon", "ViTModel", (768, 16, 1), 85_798_656, family="transformers", hub_id="owkin/phikon",
        build={"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
               "image_size": 224, "patch_size": 16, "layer_norm_eps": 1e-12}, **_USUAL | _OWKIN,
        citation="Filiot et al., Scaling Self-Supervised Learning for Histopathology with Masked Image Modeling, "
                 "medRxiv 2023",
        evidence="config.json on the hub; parameters counted on the meta device with transformers 5.23",
    ),
    one_stride(
        "phikon-v2", "Dinov2Model", (1024, 16, 1), 303_351_808, family="transformers", hub_id="owkin/phikon-v2",
        build={"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 224,
               "patch_size": 16}, filename="model.safetensors", **_USUAL | _OWKIN,
        citation="Filiot et al., Phikon-v2, A large and public feature extractor for biomarker prediction, 2024, "
                 "arXiv:2409.09173",
        evidence="architecture: TRIDENT; parameters counted on the meta device with transformers 5.23",
    ),
    stages(
        "ctranspath", "swin_tiny_patch4_window7_224", (96, 192, 384, 768), 27_520_038, layout="swin",
        build={"embed_layer": "ConvStem"}, hub_id="1aurent/swin_tiny_patch4_window7_224.CTransPath",
        licence="gpl-3.0", **_USUAL | {"mpp": 1.0},
        citation="Wang et al., Transformer-based unsupervised contrastive learning for histopathological image "
                 "classification, Medical Image Analysis 2022",
        evidence="Swin-T with the convolutional stem of the authors' repository; copyleft licence; the authors' own "
                 "ctranspath.pth is read as well; resolution as TRIDENT uses it (10x)",
    ),
    one_stride(
        "hipt-vit256", "vit_small_patch16_224", (384, 16, 1), 21_665_664, layout="dino",
        **_USUAL | {"mean": HALF[0], "std": HALF[1], "mpp": 0.5}, filename="vit256_small_dino.pth",
        page="https://github.com/mahmoodlab/HIPT", licence="apache-2.0 with commons clause", commercial="no",
        citation="Chen et al., Scaling Vision Transformers to Gigapixel Images via Hierarchical Self-Supervised "
                 "Learning, CVPR 2022",
        evidence="the file HIPT_4K/Checkpoints/vit256_small_dino.pth of the repository; normalisation as in CellViT",
    ),
    one_stride(
        "quiltnet-b32", "vit_base_patch32_clip_224", (768, 32, 1), 87_456_000, layout="clip",
        hub_id="wisdomik/QuiltNet-B-32", evidence=_GELU, **_QUILT,
    ),
    one_stride(
        "quiltnet-b16", "vit_base_patch16_clip_224", (768, 16, 1), 85_799_424, layout="clip",
        hub_id="wisdomik/QuiltNet-B-16", evidence=_GELU, **_QUILT,
    ),
    one_stride(
        "quiltnet-b16-pmb", "vit_base_patch16_224", (768, 16, 1), 85_798_656, layout="trunk",
        hub_id="wisdomik/QuiltNet-B-16-PMB", evidence="vision tower only: a trunk of timm, as in BiomedCLIP", **_QUILT,
    ),
    one_stride(
        "plip", "vit_base_patch32_clip_quickgelu_224", (768, 32, 1), 87_456_000, layout="clip", hub_id="vinid/plip",
        **_USUAL | {"mean": CLIP[0], "std": CLIP[1]}, licence="non-commercial", commercial="no",
        citation="Huang et al., A visual-language foundation model for pathology image analysis using medical "
                 "Twitter, Nature Medicine 2023",
        evidence="vision tower only: CLIP ViT-B/32; the wording of the licence is not confirmed",
    ),
    _hibou("b", 768, 12, 12, 85_741_056),
    _hibou("L", 1024, 24, 16, 303_659_264),
    one_stride(
        "midnight-12k", "Dinov2Model", (1536, 14, 1), 1_134_771_200, family="transformers", hub_id="kaiko-ai/midnight",
        build={"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "image_size": 224,
               "patch_size": 14, "use_swiglu_ffn": True}, filename="model.safetensors", licence="mit",
        commercial="yes", **_USUAL | {"mean": HALF[0], "std": HALF[1], "mpp": 0.5},
        citation="Karasikov et al., Training state-of-the-art pathology foundation models with orders of magnitude "
                 "less data, 2025, arXiv:2504.05186",
        evidence="architecture: TRIDENT; a position table of another grid is resampled; sources disagree on whether a "
                 "login is needed",
    ),
    one_stride(
        "musk", "beit3_large_patch16_224", (1024, 16, 1), 303_936_512, layout="musk", hub_id="xiangjx/musk",
        build={"img_size": 384}, gated="click",
        **_USUAL | _NC_ND | {"mean": HALF[0], "std": HALF[1], "mpp": 0.5, "native_size": 384},
        citation="Xiang et al., A vision-language foundation model for precision oncology, Nature 2025",
        evidence="vision branch only (BEiT-3 large as timm builds it); its file is read by timm's converter, which has "
                 "not been tried on the real one",
    ),
    stages(
        "kimianet", "densenet121", (64, 256, 512, 1024, 1024), 6_953_856, layout="kimianet", gated="manual",
        **_USUAL | {"native_size": 1000, "mpp": 0.5}, filename="KimiaNetPyTorchWeights.pth",
        page="https://github.com/KimiaLabMayo/KimiaNet", licence="KimiaNet end-user agreement (academic)",
        commercial="no",
        citation="Riasatian et al., Fine-tuning and training of densenet for histopathology image representation "
                 "using TCGA diagnostic slides, Medical Image Analysis 2021",
        evidence="DenseNet-121; trained on tiles of 1000 pixels at 20x; normalisation as users of the weights apply it",
    ),
)  # fmt: skip

_AWAY = (
    _away("remedis", "resnet152x2 (BiT)",
          "its weights are TensorFlow files behind a credentialed agreement on PhysioNet", gated="manual",
          page="https://github.com/google-research/medical-ai-research-foundations", licence="research agreement",
          commercial="no",
          citation="Azizi et al., Robust and data-efficient generalization of self-supervised machine learning for "
                   "diagnostic imaging, Nature Biomedical Engineering 2023"),
    _away("rudolfv", "ViT-L/14", "its weights were never released", gated="unavailable",
          citation="Dippel et al., RudolfV: A Foundation Model by Pathologists for Pathologists, 2024, "
                   "arXiv:2401.04079"),
    _away("atlas-2", "not published", "its weights were never released; Atlas and the variants -B and -S neither",
          gated="unavailable"),
    _away("pluto", "FlexiViT-S", "its weights were never released; those of PLUTO-4 neither", gated="unavailable",
          citation="Juyal et al., PLUTO: Pathology-Universal Transformer, 2024, arXiv:2405.07905"),
    _away("genbio-pathfm", "own code (the three colour channels are encoded apart)",
          "its network exists only as code of its repository, which is never run", hub_id="genbio-ai/genbio-pathfm",
          page="https://huggingface.co/genbio-ai/genbio-pathfm", licence="GenBio community licence", commercial="no",
          mean=_GENBIO[0], std=_GENBIO[1], native_size=224),
    _away("keep", "own code (ViT-L/16 inside)", "its network exists only as code of its repository, which is never run",
          hub_id="Astaxanthin/KEEP", page="https://huggingface.co/Astaxanthin/KEEP", native_size=224),
    _away("path-orchestra", "not published", "the options of its architecture are not published outside the gate",
          gated="click", hub_id="AI4Pathology/PathOrchestra", licence="cc-by-nc-nd-4.0", commercial="no",
          page="https://huggingface.co/AI4Pathology/PathOrchestra", native_size=224),
)  # fmt: skip

PATHOLOGY_MORE = (*_BUILT, *_AWAY)
"""The cards of this file."""
