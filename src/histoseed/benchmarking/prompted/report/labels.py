"""What results are called: only what differs between them, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from histoseed.benchmarking.prompted.results import PromptResult
from histoseed.errors import InputError
from histoseed.prompting.simulate import Length, PromptSpec

__all__ = ["CONDITION", "FIELDS", "SETTING", "common_words", "field_words", "label_of", "said", "value_of", "varying"]

_METHODS = {
    None: "not fine-tuned", "frozen": "decoder tuned", "lora": "LoRA", "full": "everything tuned",
}  # fmt: skip


_PUBLISHED = "-published"
"""How the names of published networks end."""


def _model(result: PromptResult) -> str:
    model = result.model
    if model.random_weights or model.weights == "random":
        return f"{model.name} (random weights)"
    return model.name if model.weights in ("bundled", "hub") else f"{model.name} ({model.weights})"


def _fusion(result: PromptResult) -> str:
    """The kind of fusion; whose network it is stands in a field of its own, so that equal kinds stand together."""
    return (result.model.fusion or "none").removesuffix(_PUBLISHED)


def _network(result: PromptResult) -> str:
    if result.model.fusion is None:
        return "none"
    return "published" if result.model.fusion.endswith(_PUBLISHED) else "histoseed"


def _histology(result: PromptResult) -> str:
    model = result.model
    if model.histology is None:
        return "none"
    return model.histology if model.tiles in (None, 1) else f"{model.histology} in {model.tiles} x {model.tiles} tiles"


def _plain_length(text: str) -> str:
    """A length; nothing is the same in every unit."""
    return text if Length.parse(text).value else "0"


def _prompts(text: str | None) -> str:
    """A specification as it is written here; ``all`` keeps its name, whoever draws its rough mask."""
    try:
        known = PromptSpec.parse(text or "")
    except InputError:
        return text or "none"
    everything = PromptSpec.parse("all")
    published = dataclasses.replace(everything, mask=f"published-{everything.mask}")
    return "all" if known in (everything, published) else str(known)


FIELDS: Mapping[str, tuple[str, Callable[[PromptResult], str]]] = {
    "model": ("model", _model),
    "fusion": ("fusion", _fusion),
    "network": ("network of the fusion", _network),
    "histology": ("histology encoder", _histology),
    "method": ("training", lambda r: r.model.method or "none"),
    "train_sets": ("trained on", lambda r: ", ".join(r.train_sets) or "none"),
    "training_prompts": ("trained with", lambda r: _prompts(r.model.prompts)),
    "loss": ("loss", lambda r: r.model.loss or "none"),
    "prompts": ("prompts", lambda r: _prompts(r.condition.prompts)),
    "jitter": ("jitter", lambda r: _plain_length(r.condition.jitter)),
    "shift": ("mask moved by", lambda r: _plain_length(r.condition.shift)),
    "user": ("simulated user", lambda r: r.condition.user),
    "clean": ("clean-up", lambda r: r.condition.clean),
    "recirculate": ("given back", lambda r: str(r.condition.recirculate)),
    "test_sets": ("scored on", lambda r: ", ".join(r.test_sets)),
    "seed": ("seed", lambda r: str(r.seed)),
}
"""Name -> how it is read, and its value as published tables write it; in the order in which labels name them."""

CONDITION = ("prompts", "jitter", "shift", "user")
"""Fields that say what was asked; the others say who answered, and what became of the answer."""

_TRAINING = ("train_sets", "training_prompts", "loss")
"""Fields that only trained models have."""

SETTING = "training."
"""Before the name of a setting of a training, which is a field too."""

_SAID: Mapping[str, Callable[[str], str]] = {
    "fusion": lambda v: "no fusion" if v == "none" else f"{v} fusion",
    "network": lambda v: "" if v == "none" else f"{v} network",
    "histology": lambda v: "" if v == "none" else v,
    "method": lambda v: _METHODS.get(None if v == "none" else v, v),
    "train_sets": lambda v: "" if v == "none" else f"on {v}",
    "training_prompts": lambda v: "" if v == "none" else f"trained with {v}",
    "loss": lambda v: "" if v == "none" else f"loss {v}",
    "jitter": lambda v: "no jitter" if v == "0" else f"jitter {_length(v)}",
    "shift": lambda v: "mask not moved" if v == "0" else f"mask moved by {_length(v)}",
    "user": lambda v: f"{v} user",
    "clean": lambda v: "not cleaned" if v == "none" else f"clean-up {v}",
    "recirculate": lambda v: "" if v == "0" else "given back once" if v == "1" else f"given back {v} times",
    "test_sets": lambda v: f"scored on {v}",
    "seed": lambda v: f"seed {v}",
}
"""How a value is said in a label, where it does not speak for itself; nothing where that goes without saying."""


def value_of(result: PromptResult, name: str) -> str:
    """The value of a field, as published tables write it."""
    if name.startswith(SETTING):
        value = result.model.training.get(name.removeprefix(SETTING))
        return "none" if value is None else str(value)
    return FIELDS[name][1](result)


def field_words(name: str) -> str:
    """How a field is headed."""
    return name.removeprefix(SETTING).replace("_", " ") if name.startswith(SETTING) else FIELDS[name][0]


def varying(results: Sequence[PromptResult]) -> list[str]:
    """The fields that results differ by; settings of trainings stand behind the others.

    What trained models share is not said of each of them because one beside them was not trained.
    """
    settings = dict.fromkeys(SETTING + name for one in results for name in one.model.training)
    return [name for name in (*FIELDS, *settings) if len(set(_values(results, name))) > 1]


def _values(results: Sequence[PromptResult], name: str) -> list[str]:
    """The values of a field; of one about training only those of trained models, if there are any."""
    told = [value_of(one, name) for one in results]
    if name in _TRAINING or name.startswith(SETTING):
        return [value for value in told if value != "none"] or told
    return told


def label_of(result: PromptResult, names: Sequence[str]) -> str:
    """A result by some of its fields; by its model where these say nothing."""
    return ", ".join(filter(None, (said(name, value_of(result, name)) for name in names))) or _model(result)


def common_words(results: Sequence[PromptResult]) -> str:
    """What all results share, in a sentence; what goes without saying is left out."""
    if not results:
        return ""
    apart = set(varying(results))
    usual = {"seed": "0", "user": "histoseed", "recirculate": "0", "jitter": "0", "shift": "0"}
    shared = {name: _values(results, name)[0] for name in FIELDS if name not in apart}
    words = [f"{field_words(name)} {value}" for name, value in shared.items() if value not in {"none", usual.get(name)}]
    return f"The same in all results here: {'; '.join(words)}." if words else ""


def said(name: str, value: str) -> str:
    """A value as a label says it; empty where it goes without saying."""
    if name.startswith(SETTING):
        return "" if value == "none" else f"{field_words(name)} {value}"
    return _SAID.get(name, str)(value)


def _length(text: str) -> str:
    """A length as it is read.

    >>> _length("1um").split(), _length("20w").split()
    (['1', 'µm'], ['20', 'w'])
    """
    length = Length.parse(text)
    return f"{length.value:g}\N{NO-BREAK SPACE}{'µm' if length.unit == 'um' else length.unit}"
