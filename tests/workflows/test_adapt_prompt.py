"""``adapt --task prompt``: from a data set to a folder that answers prompts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures import tiny_sam as tiny
from histoseed.encoders import get_card
from histoseed.errors import HistoseedError, InputError, ModelError, OutputError
from histoseed.geometry import Region
from histoseed.prompting import Prompt, Window
from histoseed.prompting.fusion import load_fused
from histoseed.prompting.methods import prepare_promptable
from histoseed.prompting.sam import load_promptable
from histoseed.prompting.storage import load_trained_sam, read_trained_card, write_trained_sam
from histoseed.segmenters.methods import MethodOptions
from histoseed.workflows.adaptation.prompted import adapt_prompts, prompted_plan
from histoseed.workflows.prompting.models import load_prompt_model

WINDOW = Window(Region(0, 0, 128, 128), (128, 128))
PICTURE = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
PROMPTS = [Prompt(box=(20.0, 20.0, 60.0, 50.0)), Prompt(positive=np.array([[70.0, 80.0]]))]
QUICK: dict[str, Any] = {"steps": 2, "batch": 2, "max_objects": 3, "dtype": "float32", "prompts": "box,1pos"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))


def answers(model: Any) -> list[np.ndarray]:
    found = model.predict(model.embed(PICTURE, WINDOW), PROMPTS, several=True)
    return [np.stack([c.logits for c in answer.candidates]) for answer in found]


@pytest.mark.parametrize(
    ("name", "method"), [("sam-vit-b", "lora"), ("sam2.1-hiera-t", "full"), ("sam-hq-vit-b", "frozen")]
)
def test_a_sam_is_trained_stored_and_loaded(discs: Path, tmp_path: Path, name: str, method: str) -> None:
    card = tiny.tiny_card(name)
    out = tmp_path / "model"
    options = {"rank": 2} if method == "lora" else None
    model = adapt_prompts(
        discs, out=out, encoder=card, weights="random", method=method, method_options=options, **QUICK,
        validation="within", learning_rate=1e-3,
    )  # fmt: skip
    assert {path.name for path in out.iterdir()} == {
        "model.json", "model.safetensors", "history.json", "loss.png", "run.json",
    }  # fmt: skip
    written = read_trained_card(out)
    assert (written.task, written.kind, written.method.name) == ("prompt", "sam", method)
    assert written.data[0].instances == 3
    assert written.sam.stored
    assert (written.licence, written.commercial, model.name) == ("apache-2.0", "yes", f"{name} adapted to discs")
    before = answers(load_promptable(card, weights="random"))
    after, again = answers(model), answers(load_prompt_model(out, dtype="float32"))
    for one, two, three in zip(before, after, again, strict=True):
        assert np.abs(one - two).max() > 0.01 * np.abs(one).max()
        np.testing.assert_array_equal(two, three)
    run = json.loads((out / "run.json").read_text())
    assert run["results"]["objects"]["train"] == 3
    assert run["results"]["objects"]["val"] > 0
    assert set(run["results"]["patches"]) == {"train", "val"}
    history = json.loads((out / "history.json").read_text())
    assert [row["validation_loss"] is not None for row in history] == [False, True]
    # It can be trained on, by its own method; another would lose what the first one learned.
    if method != "frozen":
        with pytest.raises(InputError, match=f"trained by {method}"):
            adapt_prompts(discs, out=tmp_path / "next", encoder=out, method="frozen", **QUICK)
    following = adapt_prompts(discs, out=tmp_path / "next", encoder=out, **QUICK)
    assert following.name.count("adapted to") == 1
    assert [entry.name for entry in read_trained_card(tmp_path / "next").data] == ["discs", "discs"]


@pytest.mark.parametrize("method", ["frozen", "full"])
def test_the_bundled_model_is_trained_stored_and_loaded(discs: Path, tmp_path: Path, method: str) -> None:
    out = tmp_path / "model"
    model = adapt_prompts(discs, out=out, method=method, **QUICK, learning_rate=1e-3)
    plain, after, again = (
        answers(m) for m in (load_prompt_model(dtype="float32"), model, load_prompt_model(out, dtype="float32"))
    )
    for one, two, three in zip(plain, after, again, strict=True):
        assert np.abs(one - two).max() > 1e-3
        np.testing.assert_array_equal(two, three)
    assert model.name == "histoseed bundled prompts (H&E) adapted to discs"
    assert load_prompt_model().fingerprint != model.fingerprint


def test_of_weights_from_a_hub_only_what_was_trained_is_stored(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, sizes = tiny.tiny_card("sam-vit-b"), {}
    for method in ("frozen", "lora", "full"):
        out = tmp_path / method
        base = load_promptable(card, weights="random")
        base.weights = "hub, tiny@0"
        monkeypatch.setattr(
            "histoseed.workflows.adaptation.prompted.load_prompt_model", lambda *_, base=base, **__: base
        )
        adapt_prompts(discs, out=out, encoder="tiny", method=method, **QUICK)
        monkeypatch.undo()
        sizes[method] = (out / "model.safetensors").stat().st_size
        assert not read_trained_card(out).sam.stored
        fetched = load_promptable(card, weights="random")
        monkeypatch.setattr(
            "histoseed.prompting.storage.load_promptable",
            lambda *_, weights, found=fetched, **__: {"hub": found}[weights],
        )
        for one, two in zip(answers(base), answers(load_trained_sam(out)), strict=True):
            np.testing.assert_array_equal(one, two)
        monkeypatch.undo()
    assert sizes["frozen"] < sizes["lora"] < 0.5 * sizes["full"]


@pytest.mark.parametrize("fusion", ["concat", "refinement"])
def test_a_fused_model_is_trained_stored_and_loaded(discs: Path, tmp_path: Path, fusion: str) -> None:
    out, card = tmp_path / "model", tiny.tiny_card("sam-vit-b")
    model: Any = adapt_prompts(
        discs, out=out, encoder=card, weights="random", fusion=fusion, histology="bundled", tiles=1, **QUICK,
        learning_rate=1e-3,
    )  # fmt: skip
    stored = read_trained_card(out)
    assert stored.fusion is not None
    assert stored.fusion.name == fusion
    assert stored.licence == "sam-vit-b: apache-2.0; bundled: Apache-2.0 (together: commercial use allowed)"
    assert model.name == "sam-vit-b+" + fusion + "+bundled adapted to discs"
    for one, two in zip(answers(model), answers(load_prompt_model(out, dtype="float32")), strict=True):
        np.testing.assert_array_equal(one, two)
    assert model.fusion is not None


def test_a_histology_encoder_with_a_card_of_its_own_is_stored_with_its_licence(tmp_path: Path) -> None:
    card = replace(
        get_card("timm:resnet18"), name="lab-encoder", hub_id=None, native_size=96, licence="CC-BY-NC-4.0",
        commercial="no",
    )  # fmt: skip
    model = load_fused(tiny.tiny_card("sam-vit-b"), card, "concat", tiles=1, sam_weights="random",
                       histology_weights="random")  # fmt: skip
    prepare_promptable(model, MethodOptions())
    written = write_trained_sam(model, tmp_path, method=MethodOptions(), facts={"name": "mine"})
    assert (written.commercial, str(written.licence)[-27:]) == ("no", "(together: no commercial use)"[-27:])
    again: Any = load_trained_sam(tmp_path)
    assert again.name == "mine"
    assert again.histology.tile == 96  # not the size of the registered architecture
    for one, two in zip(answers(model), answers(again), strict=True):
        np.testing.assert_array_equal(one, two)
    content = json.loads((tmp_path / "model.json").read_text())
    content["fusion"]["encoder"]["colour"] = "red"
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="lab-encoder"):
        load_trained_sam(tmp_path)


def test_an_interrupted_run_goes_on_to_the_same_bytes(discs: Path, tmp_path: Path) -> None:
    def run(out: Path, progress: Any = None) -> None:
        how = {**QUICK, "steps": 3}
        adapt_prompts(discs, out=out, encoder=tiny.tiny_card("sam-vit-b"), weights="random", progress=progress, **how)

    class Stops:
        def start(self, *_: Any) -> None: ...
        def done(self) -> None: ...
        def advance(self, *_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "half", Stops())
    assert (tmp_path / "half" / "checkpoint.safetensors").is_file()
    run(tmp_path / "half")
    for name in ("model.safetensors", "model.json", "history.json"):
        assert (tmp_path / "half" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(OutputError, match="finished run"):
        run(tmp_path / "half")


def test_the_published_preset() -> None:
    sizes = {
        (family, method, fusion): prompted_plan(family, method, "published", fusion=fusion).batch
        for family, method, fusion in (
            ("sam", "frozen", None), ("sam2", "frozen", None), ("sam", "full", None), ("sam2", "full", None),
            ("sam", "frozen", "concat"), ("sam", "frozen", "refinement"),
        )
    }  # fmt: skip
    assert list(sizes.values()) == [64, 16, 3, 4, 32, 12]  # specification 8
    plan = prompted_plan("sam2", "frozen", "published")
    assert (plan.learning_rate, plan.epochs, plan.weight_decay, plan.schedule) == (1e-5, 30, 1e-4, "constant")
    assert (plan.loss, prompted_plan("sam", "frozen", "published").loss) == ("bce-iou", "bce")
    assert prompted_plan("sam", "frozen", "published", epochs=1).epochs == 1


def test_parts_never_share_a_group(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    how = {**QUICK, "max_objects": None, "steps": 1}
    adapt_prompts(discs, out=out, shares=(0.5, 0.0, 0.5), **how)
    patches = json.loads((out / "run.json").read_text())["results"]["patches"]
    assert {part: {int(key[1]) % 2 for key in ids} for part, ids in patches.items()} in (
        {"train": {0}, "test": {1}}, {"train": {1}, "test": {0}},
    )  # fmt: skip
    assert len(patches["train"]) == len(patches["test"]) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "bitfit"}, "not trained by 'bitfit'"),
        ({"method": "lora"}, "LoRA can update"),
        ({"prompts": "5neg"}, "never says where"),
        ({"shares": (0.7, 0.2, 0.2)}, "not the shares"),
        ({"validation": "split"}, "no split into train and val"),
        ({"max_objects": 0}, "teach nothing"),
        ({"encoder": "sam-vit-x"}, "no promptable model"),
        ({"histology": "uni"}, "joined in by a fusion"),
        ({"epochs": 1}, "two ways to say how long"),
        ({"shares": (0.7, 0.3, 0.0), "validation": "within"}, "what is kept apart"),
        ({"encoder": "tiny-sam", "method": "lora", "method_options": {"dropout": 0.1}}, "nothing can be dropped"),
        ({"fusion": "concat"}, "Add --histology"),
        ({"epochs": 0, "steps": None}, "must be positive"),
        ({"method_options": {"ranks": 2}}, "--set method.ranks"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(discs: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(HistoseedError) as found:
        adapt_prompts(discs, out=tmp_path / "m", **{**QUICK, **options})
    assert said in str(found.value)
    assert not (tmp_path / "m").exists()


def test_damaged_folders_are_refused(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    adapt_prompts(discs, out=out, encoder=tiny.tiny_card("sam-vit-b"), weights="random", **QUICK)
    good = json.loads((out / "model.json").read_text())
    changes: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda c: c.update(task="instance"), "answers no prompts"),
        (lambda c: c.update(format_version=99), "Update histoseed"),
        (lambda c: c.update(surprise=1), "surprise"),
        (lambda c: c["sam"]["card"].update(colour="red"), "does not fit"),
        (lambda c: c.update(weights_sha256="0" * 64), "sha256|hash|another"),
        (lambda c: c["method"].update(name="lora"), "tensors do not fit"),
    ]
    for change, said in changes:
        content = json.loads(json.dumps(good))
        change(content)
        (out / "model.json").write_text(json.dumps(content))
        with pytest.raises(ModelError, match=said):
            load_prompt_model(out)
    (out / "model.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_prompt_model(out)
    with pytest.raises(InputError, match="brings its own weights"):
        load_prompt_model(out, weights="random")


def test_gradients_are_off_in_a_loaded_model(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    model: Any = adapt_prompts(discs, out=out, encoder=tiny.tiny_card("sam-vit-b"), weights="random", **QUICK)
    assert not any(p.requires_grad for p in model.network.parameters())
    assert not torch.is_inference(next(model.network.parameters()))
