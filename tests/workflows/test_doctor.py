"""``doctor``: what it says about a healthy and about a broken installation."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from histoseed.errors import DependencyError
from histoseed.workflows import doctor
from histoseed.workflows.doctor import examine


def by_name() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in examine()}


def test_a_healthy_installation() -> None:
    found = by_name()
    assert {"histoseed", "python", "openslide", "torch", "device cpu", "bundled model", "cache folder"} <= found.keys()
    assert [one.name for one in found.values() if one.status == "fail"] == []


def test_what_fails_is_told_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise DependencyError("The OpenSlide library is 3.4.1, older than 4.0.1.", fix="pip install --upgrade")

    monkeypatch.setattr("histoseed.slides.load_openslide", broken)
    found = by_name()["openslide"]
    assert (found.status, found.fix) == ("fail", "pip install --upgrade")
    assert "3.4.1" in found.found


def test_one_broken_part_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(model: str) -> None:
        raise ImportError("libtorch.so is missing")

    monkeypatch.setattr("histoseed.workflows.models.load_model", torn)
    found = by_name()
    assert (found["bundled model"].status, found["cache folder"].status) == ("fail", "ok")
    assert "libtorch.so" in found["bundled model"].found


def test_a_missing_and_an_old_package(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=99", "no-such-package-here>=1", "scipy>=1", 'transformers>=99; extra == "hf"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    found = {one.name: one for one in doctor._packages()}
    assert found["numpy"].status == found["no-such-package-here"].status == "fail"
    assert "numpy>=99" in str(found["numpy"].fix)
    assert "scipy" not in found
    assert "transformers" not in found


def test_a_missing_extra_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name == "transformers":
            raise importlib.metadata.PackageNotFoundError
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    (found,) = doctor._extras()
    assert found.status == "warn"
    assert ".[hf]" in str(found.fix)


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(file / "cache"))
    (found,) = doctor._cache()
    assert found.status == "warn"
    assert "HISTOSEED_CACHE_DIR" in str(found.fix)
    assert list(tmp_path.iterdir()) == [file]  # looking leaves nothing behind
