"""How the authors of published weights named their tensors, told in the names of timm.

Each function takes the tensors of a file and answers them renamed; tensors of other parts (text towers, heads, mask
decoders) are left out. A file in another naming comes back as it was, and the strict comparison that follows judges it.
The names are those of the authors' published code; nothing is guessed from shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch

from histoseed.encoders.cards import Layout
from histoseed.encoders.weights import State

__all__ = ["LAYOUTS", "in_timms_names"]

_Rules = Sequence[tuple[str, str]]

_MOBILENET_REPEATS = (1, 2, 3, 4, 3, 3, 1)
"""Blocks of each stage of MobileNetV2 (Sandler et al., 2018, table 2)."""


def in_timms_names(layout: Layout, state: State) -> State:
    """The tensors of a file in the names of timm, parts that belong to no encoder left out."""
    return LAYOUTS[layout](state)


def _below(state: State, *prefixes: str) -> State:
    """What stands below the first prefix that occurs, without it; everything where none does."""
    for prefix in prefixes:
        inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if inner:
            return inner
    return state


def _without(state: State, *prefixes: str) -> State:
    return {key: value for key, value in state.items() if not key.startswith(prefixes)}


def _renamed(state: State, rules: _Rules) -> State:
    """Each key with every rule (pattern, replacement) applied in turn."""
    out = {}
    for key, value in state.items():
        new = key
        for pattern, replacement in rules:
            new = re.sub(pattern, replacement, new)
        out[new] = value
    return out


def _dino(state: State) -> State:
    """DINO (Caron et al., 2021), as HIPT and Lunit used it: ``module.``, ``backbone.`` in front, a projection head."""
    return _without(_below(_below(state, "module."), "backbone."), "head.")


def _dinov2(state: State) -> State:
    """Meta's DINOv2: blocks in chunks, SwiGLU as ``w12`` and ``w3``, registers beside the position table."""
    state = _without(_below(state, "backbone."), "mask_token", "dino_head.", "ibot_head.")
    state = _renamed(state, [
        (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),  # the second number counts through all chunks
        (r"\.mlp\.w12\.", ".mlp.fc1."),
        (r"\.mlp\.w3\.", ".mlp.fc2."),
    ])  # fmt: skip
    if "register_tokens" in state:  # timm keeps the class token's entry of the table in the token itself
        table = state["pos_embed"]
        state["reg_token"] = state.pop("register_tokens")
        state["cls_token"] = state["cls_token"] + table[:, :1]
        state["pos_embed"] = table[:, 1:]
    return state


def _swin(state: State) -> State:
    """Before timm 0.9, and at Microsoft: patches are merged at the end of a stage, not at the start of the next."""
    state = {key: value for key, value in state.items() if not key.endswith(("attn_mask", "relative_position_index"))}
    state = _without(state, "head.")
    if "layers.0.downsample.reduction.weight" not in state:
        return state
    return {
        re.sub(r"^layers\.(\d+)\.downsample", lambda match: f"layers.{int(match[1]) + 1}.downsample", key): value
        for key, value in state.items()
    }


def _trunk(state: State) -> State:
    """open_clip around a network of timm, CONCH: the encoder is ``visual.trunk`` or ``trunk``, without its poolers."""
    return _below(state, "visual.trunk.", "trunk.")


def _clip(state: State) -> State:
    """CLIP's vision tower: of open_clip (``visual.``) or of transformers (``vision_model.``)."""
    if any(key.startswith("vision_model.") for key in state):
        return _clip_of_transformers(_below(state, "vision_model."))
    if "visual.class_embedding" not in state:
        return state
    state = _renamed(_without(_below(state, "visual."), "proj"), [
        (r"^class_embedding$", "cls_token"),
        (r"^positional_embedding$", "pos_embed"),
        (r"^conv1\.", "patch_embed.proj."),
        (r"^ln_pre\.", "norm_pre."),
        (r"^ln_post\.", "norm."),
        (r"^transformer\.resblocks\.", "blocks."),
        (r"\.ln_([12])\.", r".norm\1."),
        (r"\.attn\.in_proj_", ".attn.qkv."),
        (r"\.attn\.out_proj\.", ".attn.proj."),
        (r"\.mlp\.c_fc\.", ".mlp.fc1."),
        (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    ])  # fmt: skip
    return _clip_tables(state)


def _clip_of_transformers(state: State) -> State:
    state = _renamed(_without(state, "embeddings.position_ids"), [
        (r"^embeddings\.class_embedding$", "cls_token"),
        (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
        (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
        (r"^pre_layrnorm\.", "norm_pre."),
        (r"^post_layernorm\.", "norm."),
        (r"^encoder\.layers\.", "blocks."),
        (r"\.layer_norm([12])\.", r".norm\1."),
        (r"\.self_attn\.out_proj\.", ".attn.proj."),
        (r"\.self_attn\.", ".attn."),
    ])  # fmt: skip
    for key in [key for key in state if ".attn.q_proj." in key]:
        parts = [state.pop(key.replace("q_proj", f"{part}_proj"), None) for part in "qkv"]
        whole = [part for part in parts if part is not None]
        state[key.replace("q_proj", "qkv")] = torch.cat(whole)
    return _clip_tables(state)


def _clip_tables(state: State) -> State:
    """CLIP keeps the class token as (dim,) and the positions as (tokens, dim)."""
    for key, ndim in (("cls_token", 3), ("pos_embed", 3)):
        while key in state and state[key].ndim < ndim:
            state[key] = state[key][None]
    return state


def _musk(state: State) -> State:
    """BEiT-3 inside MUSK: only what stands below ``beit3.``; timm's own converter does the rest."""
    return {key: value for key, value in state.items() if key.startswith("beit3.")} or state


def _sam(state: State) -> State:
    """SAM of Meta (``image_encoder.``), of transformers (``vision_encoder.``), and micro-sam's training checkpoints."""
    state = _below(_below(state, "sam."), "image_encoder.", "vision_encoder.")
    return _renamed(state, [
        (r"^patch_embed\.projection\.", "patch_embed.proj."),
        (r"^layers\.", "blocks."),
        (r"^(blocks\.\d+\.)layer_norm", r"\1norm"),
        (r"\.mlp\.lin([12])\.", r".mlp.fc\1."),
        (r"^neck\.conv1\.", "neck.0."),
        (r"^neck\.layer_norm1\.", "neck.1."),
        (r"^neck\.conv2\.", "neck.2."),
        (r"^neck\.layer_norm2\.", "neck.3."),
    ])  # fmt: skip


def _sam2(state: State) -> State:
    """SAM 2 of Meta (``image_encoder.trunk.``) and of transformers (``vision_encoder.backbone.``)."""
    state = _below(state, "image_encoder.trunk.", "vision_encoder.backbone.", "backbone.")
    state = _renamed(state, [
        (r"^patch_embed\.projection\.", "patch_embed.proj."),
        (r"^(blocks\.\d+\.)layer_norm", r"\1norm"),
        (r"\.mlp\.(layers\.0|proj_in)\.", ".mlp.fc1."),
        (r"\.mlp\.(layers\.1|proj_out)\.", ".mlp.fc2."),
    ])  # fmt: skip
    last = max((int(key.split(".")[1]) for key in state if key.startswith("blocks.")), default=None)
    if last is not None and "head.norm.weight" not in state and f"blocks.{last}.norm2.weight" in state:
        # timm's norm behind the last stage: SAM 2 has none, and no feature map passes it.
        like = state[f"blocks.{last}.norm2.weight"]
        state |= {"head.norm.weight": torch.ones_like(like), "head.norm.bias": torch.zeros_like(like)}
    return state


def _kimianet(state: State) -> State:
    """KimiaNet: torchvision's DenseNet as the first of two modules, inside ``DataParallel``, with a new classifier."""
    inner = _below(_below(state, "module."), "model.0.")
    return {f"features.{key}": value for key, value in inner.items()} if inner is not state else state


def _torchvision(state: State) -> State:
    """MobileNetV2 of torchvision; its ResNets and DenseNets have timm's names already."""
    if "features.0.0.weight" not in state:
        return state
    places = [(stage, block) for stage, count in enumerate(_MOBILENET_REPEATS) for block in range(count)]
    names = {"0.0": "conv_stem", "0.1": "bn1", "18.0": "conv_head", "18.1": "bn2"}
    for number, (stage, block) in enumerate(places, start=1):
        # The first block widens nothing and has one convolution less.
        parts = ("conv_dw", "bn1", "conv_pw", "bn2") if number == 1 else (
            "conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")  # fmt: skip
        paths = ("0.0", "0.1", "1", "2") if number == 1 else ("0.0", "0.1", "1.0", "1.1", "2", "3")
        for path, part in zip(paths, parts, strict=True):
            names[f"{number}.conv.{path}"] = f"blocks.{stage}.{block}.{part}"
    out = {}
    for key, value in _without(state, "classifier.").items():
        module, _, tensor = key.removeprefix("features.").rpartition(".")
        out[f"{names[module]}.{tensor}" if module in names else key] = value
    return out


LAYOUTS: Mapping[Layout, Callable[[State], State]] = MappingProxyType({
    "clip": _clip, "dino": _dino, "dinov2": _dinov2, "kimianet": _kimianet, "musk": _musk, "sam": _sam, "sam2": _sam2,
    "swin": _swin, "torchvision": _torchvision, "trunk": _trunk,
})  # fmt: skip
"""The function of every layout that a card can name."""
