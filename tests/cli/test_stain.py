"""``adapt --stain``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("given", "asked"), [((), None), (("--stain", "macenko"), "macenko"), (("--stain", "none"), "none")]
)
def test_the_choice_reaches_the_verb(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], asked: str | None
) -> None:
    seen: dict[str, Any] = {}

    def stop(*arguments: object, **options: Any) -> None:
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("histoseed.workflows.adapt.adapt", stop)
    assert run("adapt", data, "--out", tmp_path / "m", *given).exit_code == 130
    assert seen["stain"] == asked


def test_an_unknown_method_is_refused(run: Run, data: Path, tmp_path: Path) -> None:
    result = run("adapt", data, "--out", tmp_path / "m", "--stain", "vahadane")
    assert result.exit_code == 2
    assert "reinhard" in result.stderr
