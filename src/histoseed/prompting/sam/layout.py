"""Checkpoints in Meta's naming, told in the names of transformers.

The published files of SAM, SAM 2 and SAM-HQ, and what others trained from them (MedSAM, micro-sam and PathoSAM), name
their tensors as Meta's code does; files of transformers are read as they are. Nothing is guessed from shapes: what does
not fit after renaming is refused by the strict comparison that follows, with the names of the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from histoseed.encoders.weights import State, refuse_misfit
from histoseed.errors import ModelError
from histoseed.prompting.sam.cards import CARDS, Arch, PromptableCard

__all__ = ["card_of_state", "check_fit", "in_transformers_names", "put_strictly"]

_Rules = Sequence[tuple[str, str]]

_SHARED = "shared_image_embedding.positional_embedding"
_OWN = "prompt_encoder.shared_embedding.positional_embedding"

_PROMPT: _Rules = (
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", _OWN),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
)
_DECODER: _Rules = (
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^mask_decoder\.transformer\.norm_final_attn\.", "mask_decoder.transformer.layer_norm_final_attn."),
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
)
_HQ: _Rules = (
    (r"^mask_decoder\.hf_token\.", "mask_decoder.hq_token."),
    (r"^mask_decoder\.hf_mlp\.", "mask_decoder.hq_mask_mlp."),
    (r"^mask_decoder\.compress_vit_feat\.0\.", "mask_decoder.compress_vit_conv1."),
    (r"^mask_decoder\.compress_vit_feat\.1\.", "mask_decoder.compress_vit_norm."),
    (r"^mask_decoder\.compress_vit_feat\.3\.", "mask_decoder.compress_vit_conv2."),
    (r"^mask_decoder\.embedding_encoder\.0\.", "mask_decoder.encoder_conv1."),
    (r"^mask_decoder\.embedding_encoder\.1\.", "mask_decoder.encoder_norm."),
    (r"^mask_decoder\.embedding_encoder\.3\.", "mask_decoder.encoder_conv2."),
    (r"^mask_decoder\.embedding_maskfeature\.0\.", "mask_decoder.mask_conv1."),
    (r"^mask_decoder\.embedding_maskfeature\.1\.", "mask_decoder.mask_norm."),
    (r"^mask_decoder\.embedding_maskfeature\.3\.", "mask_decoder.mask_conv2."),
)
_NECK: _Rules = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"^vision_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^vision_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^vision_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^vision_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
)
_VIT: _Rules = (
    *_NECK,
    (r"^vision_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^vision_encoder\.blocks\.(\d+)\.norm(\d)\.", r"vision_encoder.layers.\1.layer_norm\2."),
    (r"^vision_encoder\.blocks\.", "vision_encoder.layers."),
)
_TINY: _Rules = (
    *_NECK,
    # timm merges patches at the start of a stage, MobileSAM at the end of the one before.
    *(
        (rf"^vision_encoder\.layers\.{i}\.downsample\.", f"vision_encoder.trunk.stages.{i + 1}.downsample.")
        for i in range(3)
    ),
    (r"^vision_encoder\.layers\.", "vision_encoder.trunk.stages."),
    (r"^vision_encoder\.patch_embed\.seq\.0\.", "vision_encoder.trunk.patch_embed.conv1."),
    (r"^vision_encoder\.patch_embed\.seq\.2\.", "vision_encoder.trunk.patch_embed.conv2."),
    (r"^(vision_encoder\.trunk\..*)\.c\.", r"\1.conv."),
)
_HIERA: _Rules = (
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^vision_encoder\.backbone\.patch_embed\.proj\.", "vision_encoder.backbone.patch_embed.projection."),
    (r"^(vision_encoder\.backbone\.blocks\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^(vision_encoder\.backbone\.blocks\.\d+\.mlp)\.layers\.0\.", r"\1.proj_in."),
    (r"^(vision_encoder\.backbone\.blocks\.\d+\.mlp)\.layers\.1\.", r"\1.proj_out."),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.layers\.0\.", r"\1.proj_in."),
    (r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.layers\.1\.", r"\1.proj_out."),
    (r"^(mask_decoder\.transformer\..*attn\w*)\.out_proj\.", r"\1.o_proj."),
    (r"^no_mem_embed$", "no_memory_embedding"),
)

_OF_VIDEOS = (
    # Meta's names, then those of transformers: the memory of SAM 2, which single images do not use.
    "memory_", "mask_downsample", "maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial",
    "obj_ptr_proj", "obj_ptr_tpos_proj", "no_memory_positional_encoding", "no_object_pointer", "object_pointer_proj",
    "occlusion_spatial_embedding_parameter", "temporal_positional_encoding_projection_layer",
)  # fmt: skip
_CONSTANTS = ("pixel_mean", "pixel_std")
_CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")
_WRAPPERS = ("module.", "sam.", "model.")
_PARTS = ("image_encoder.", "vision_encoder.")
_TINY_STEMS = ("image_encoder.patch_embed.seq.0", "vision_encoder.trunk.patch_embed.conv1")


def in_transformers_names(arch: Arch, state: State) -> State:
    """The tensors of a file under transformers' names; what is already so named stays.

    Args:
        arch: Of the card.
        state: As read from a file. Prefixes of training programs (``module.``, ``sam.``) may stand in front.
    """
    state = {key: value for key, value in _unwrapped(state).items() if key not in _CONSTANTS}
    if arch == "sam2":
        state = {key: value for key, value in state.items() if not key.startswith(_OF_VIDEOS)}
        rules = (*_HIERA, *_PROMPT, *_DECODER)
    elif arch == "mobile-sam":
        state = {key: value for key, value in state.items() if not key.startswith(_CLASSIFIER)}
        rules = (*_TINY, *_PROMPT, *_DECODER)
    else:
        rules = (*_VIT, *_PROMPT, *_DECODER, *(_HQ if arch == "sam-hq" else ()))
    out = {_renamed(key, rules): value for key, value in state.items()}
    out = _perceptrons(out)
    if arch == "sam2":
        out = _stacked_points(out)
    for name, other in ((_SHARED, _OWN), (_OWN, _SHARED)):
        if name not in out and other in out:  # one table, which some files hold once
            out[name] = out[other]
    return out


def check_fit(network: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Every tensor of the network is in the file with its shape, and nothing else is.

    Raises:
        ModelError: lists the first tensors that are missing, unexpected or of another shape.
    """
    own = network.state_dict()
    refuse_misfit(
        [key for key in own if key not in state],
        [key for key in state if key not in own],
        [(key, state[key].shape, own[key].shape) for key in own if key in state and state[key].shape != own[key].shape],
        where,
        part="model",
    )


def put_strictly(network: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Put tensors into a network, each cast to the network's precision; see :func:`check_fit`."""
    check_fit(network, state, where)
    network.load_state_dict(dict(state), strict=True)


def card_of_state(state: State, where: object) -> PromptableCard:
    """The released architecture that a file was made with, found by the width and depth of its image encoder.

    Raises:
        ModelError: no released SAM, SAM-HQ or SAM 2 has these.
    """
    state = _unwrapped(state)
    if any(f"{part}.conv.weight" in state or f"{part}.c.weight" in state for part in _TINY_STEMS):
        return CARDS["mobile-sam"]
    trunk = next((p for p in ("image_encoder.trunk.", "vision_encoder.backbone.") if _any(state, p)), None)
    encoder = trunk or next((p for p in _PARTS if _any(state, p)), "")
    patch = next((state[f"{encoder}patch_embed.{p}.weight"] for p in ("proj", "projection")
                  if f"{encoder}patch_embed.{p}.weight" in state), None)  # fmt: skip
    pattern = re.compile(re.escape(encoder) + r"(?:blocks|layers)\.(\d+)\.")
    depth = 1 + max((int(m[1]) for m in map(pattern.match, state) if m), default=-1)
    hq = any(key.startswith(("mask_decoder.hf_token", "mask_decoder.hq_token")) for key in state)
    arch: Arch = "sam2" if trunk else "sam-hq" if hq else "sam"
    width = None if patch is None else int(patch.shape[0])
    for card in CARDS.values():
        if card.arch == arch and (width, depth) == _size(card):
            return card
    what = (
        f"The file holds no SAM, SAM-HQ or SAM 2 of a released size (image encoder: width {width or 'unknown'}, "
        f"{depth} blocks)."
    )
    raise ModelError(what, where=where, fix="Say which model it is: load_promptable(NAME, weights=FILE).")


def _size(card: PromptableCard) -> tuple[int, int]:
    """Width and depth of the image encoder."""
    if card.arch == "sam2":
        return card.build["trunk"]["hidden_size"], sum(card.build["trunk"]["blocks_per_stage"])
    return card.build["vision"]["hidden_size"], card.build["vision"]["num_hidden_layers"]


def _unwrapped(state: State) -> State:
    """Without what training programs write in front of every name; only where the image encoder stands behind it."""
    while not any(_any(state, part) for part in _PARTS):
        prefix = next((p for p in _WRAPPERS if any(_any(state, p + q) for q in (*_PARTS, *_WRAPPERS))), None)
        if prefix is None:
            return state
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return state


def _any(state: Mapping[str, object], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in state)


def _renamed(key: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


_PERCEPTRON = re.compile(
    r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|hq_mask_mlp))"
    r"\.layers\.(\d+)\.(\w+)$"
)


def _perceptrons(state: State) -> State:
    """Meta counts all layers of a perceptron; transformers names the first and the last and counts those between."""
    if any(".proj_in." in key and _PERCEPTRON.match(key.replace("proj_in", "layers.0")) for key in state):
        return state  # a file of transformers, whose own "layers.0" is the second
    depth: dict[str, int] = {}
    for key in state:
        if match := _PERCEPTRON.match(key):
            depth[match[1]] = max(depth.get(match[1], 0), int(match[2]))
    out = {}
    for key, value in state.items():
        if match := _PERCEPTRON.match(key):
            number, last = int(match[2]), depth[match[1]]
            place = "proj_in" if number == 0 else "proj_out" if number == last else f"layers.{number - 1}"
            out[f"{match[1]}.{place}.{match[3]}"] = value
        else:
            out[key] = value
    return out


def _stacked_points(state: State) -> State:
    """SAM 2 in transformers keeps the embeddings of points and corners in one table."""
    names = [key for key in state if re.fullmatch(r"prompt_encoder\.point_embed\.\d+\.weight", key)]
    if not names:
        return state
    table = torch.cat([state[key] for key in sorted(names)])
    return {key: value for key, value in state.items() if key not in names} | {
        "prompt_encoder.point_embed.weight": table
    }
