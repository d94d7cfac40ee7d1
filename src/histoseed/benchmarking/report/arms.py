"""What is compared: an arm is everything about a run but its data set, its annotations, its draw and its seed."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ARM_FIELDS", "Arm", "Names", "alphabetical", "arm_of", "setting_of"]

ARM_FIELDS = (
    *("encoder", "weights", "decoder", "method", "classifier", "source", "selection", "stain", "task"),
    *("steps", "batch", "learning_rate", "model_mpp", "balance"),
)
"""The fields of an arm, besides its options."""

_USUAL = {"source": "none", "selection": "random", "stain": "none", "task": "instance", "balance": "0"}
_WORDS = {
    "classifier": "classes by {}",
    "source": "source {}",
    "selection": "{} selection",
    "stain": "stain {}",
    "task": "{}",
    "steps": "{} steps",
    "batch": "batch {}",
    "learning_rate": "learning rate {}",
    "model_mpp": "{} µm/px",
    "balance": "balance {}",
}
_CORE = ("encoder", "decoder", "method")
_SETTINGS = ("steps", "batch", "learning_rate", "model_mpp", "balance", "options")
_ORDER = (*_CORE, *(name for name in (*ARM_FIELDS, "options") if name not in _CORE))
_ALWAYS = ("encoder",)


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm.

    Args:
        fields: Values of :data:`ARM_FIELDS`, in that order.
        options: Further settings as JSON, sorted; "{}" where there are none.
        random: The weights of its encoder are random at the start.
    """

    fields: tuple[str, ...]
    options: str = "{}"
    random: bool = dataclasses.field(default=False, compare=False)

    def __getitem__(self, name: str) -> str:
        """The value of a field, or ``options``."""
        return self.options if name == "options" else self.fields[ARM_FIELDS.index(name)]


def arm_of(row: Mapping[str, Any]) -> Arm:
    """The arm of a result, or of the ``arm`` of a failed or missing run."""
    fields = tuple(_word(row.get(name)) or _USUAL.get(name, "") for name in ARM_FIELDS)
    options = json.dumps(row.get("options") or {}, sort_keys=True, default=str)
    random = bool(row.get("random_weights")) or fields[ARM_FIELDS.index("weights")] == "random"
    return Arm(fields, options, random)


def _word(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


class Names:
    """A name for each arm that says what tells it apart.

    Encoder, decoder, method, source, selection, stain and task stand in the names where arms differ in them; settings
    of the training and options only where arms could not be told apart without them.

    Args:
        arms: The arms that have results.
        lost: Arms that failed or are missing; what is not said of them is no difference.
    """

    def __init__(self, arms: Iterable[Arm], lost: Iterable[Arm] = ()) -> None:
        with_results = list(dict.fromkeys(arms))
        self.arms = list(dict.fromkeys([*with_results, *lost]))
        weights: dict[str, set[str]] = {}
        for arm in self.arms:
            weights.setdefault(arm["encoder"], set()).add(arm["weights"])
        self._several_weights = {encoder for encoder, found in weights.items() if len(found - {"", "random"}) > 1}
        differing = [name for name in _ORDER if self._differ(name, with_results)]
        self._shown = [name for name in _ORDER if name in _ALWAYS or (name in differing and name not in _SETTINGS)]
        for name in _SETTINGS:
            plain = {self._plain(arm) for arm in with_results}
            if name in differing and len(plain) < len(with_results):
                self._shown.append(name)
                if len({self._plain(arm) for arm in with_results}) == len(plain):
                    self._shown.remove(name)
        self.untold = tuple(name for name in _SETTINGS if name in differing and name not in self._shown)
        self._shared = [name for name in _ORDER if name not in differing]
        self._names = {arm: self._plain(arm) for arm in self.arms}
        counts, seen = Counter(self._names[arm] for arm in with_results), Counter[str]()
        for arm in with_results:
            name = self._names[arm]
            seen[name] += 1
            if counts[name] > 1:
                self._names[arm] = f"{name} ({seen[name]})"

    def __getitem__(self, arm: Arm) -> str:
        """The name of an arm."""
        return self._names[arm]

    def in_common(self) -> str:
        """What all arms share, as a sentence; empty where there is nothing to say."""
        told = []
        for name in self._shared:
            value = next((arm[name] for arm in self.arms if arm[name]), "")
            if value not in ("", "{}", _USUAL.get(name)):
                told.append(f"{name.replace('_', ' ')} {', '.join(_options(value)) if name == 'options' else value}")
        if not told:
            return ""
        return f"The same for {'the arm' if len(self.arms) == 1 else 'all arms'}: {', '.join(told)}."

    def _differ(self, name: str, with_results: Sequence[Arm]) -> bool:
        known = {arm[name] for arm in self.arms} - {"", "{}"}
        return len(known) > 1 or len({arm[name] for arm in with_results}) > 1

    def _plain(self, arm: Arm) -> str:
        encoder = arm["encoder"]
        if arm.random:
            encoder += " (random weights)"
        elif encoder in self._several_weights and arm["weights"]:
            encoder += f" (weights: {arm['weights']})"
        parts = [encoder]
        for name in self._shown:
            value = arm[name]
            if name == "options":
                parts += _options(value)
            elif name not in ("encoder", "weights") and value and (name in _CORE or value != _USUAL.get(name)):
                parts.append(_WORDS.get(name, "{}").format(value))
        return " · ".join(part for part in parts if part) or "arm"


def setting_of(arm: Arm, name: str) -> str:
    """A setting of an arm as it is read; empty where it was left at its default."""
    return ", ".join(_options(arm[name])) if name == "options" else arm[name]


def _options(text: str) -> list[str]:
    options = json.loads(text)
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in options.items()]


def alphabetical(arms: Iterable[Arm], names: Names) -> list[Arm]:
    """Arms by name, capitals and small letters alike."""
    return sorted(arms, key=lambda arm: (names[arm].casefold(), names[arm]))
