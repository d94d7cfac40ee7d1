"""``adapt``, ``segment`` and ``evaluate`` for areas: regions of tissue, and nuclei taken together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures.disc_sets import write_discs
from fixtures.tissue import NAMES, PaintedTissue, painted, regions, write_tissue
from histoseed.bundled import bundled_folder
from histoseed.datasets import DatasetInfo, DatasetWriter, Patch, named_classes, read_dataset
from histoseed.errors import DatasetError, InputError
from histoseed.metrics import AREAS, area_confusion, area_dice
from histoseed.segmenters import Segmenter, SemanticEntry, load_segmenter
from histoseed.training import TrainingPlan
from histoseed.workflows.adapt import adapt, default_plan
from histoseed.workflows.adaptation import lessons_of
from histoseed.workflows.adaptation.area_lessons import AreaLessons, area_options
from histoseed.workflows.evaluate import evaluate
from histoseed.workflows.known_regions import known_classes
from histoseed.workflows.patch_areas import predict_areas
from histoseed.workflows.patches import predict_patch
from histoseed.workflows.segment import segment, segment_slides
from histoseed.workflows.segment_dataset import segment_dataset

TINY = {"widths": [8, 8, 8, 8], "image_widths": [4, 4]}
SHORT: dict[str, Any] = {"task": "semantic", "steps": 1, "batch": 1, "patches": 1, "method": "full", "dtype": "float32"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def tissue(tmp_path: Path) -> Path:
    return write_tissue(tmp_path / "tissue")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set of regions, and a model that was adapted to it for a moment."""
    root = tmp_path_factory.mktemp("trained")
    tissue = write_tissue(root / "tissue")
    quick(tissue, root / "model", patches=2, steps=2)
    return tissue, root / "model"


def small_plan(*, trained: bool, **changes: Any) -> TrainingPlan:
    """The plan of ``adapt``, with smaller crops and a checkpoint every step."""
    return replace(default_plan(trained=trained, **changes), crop=64, checkpoint_every=1)


def quick(data: Path, out: Path, **more: Any) -> Segmenter:
    options = {**TINY, **more.pop("decoder_options", {})}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("histoseed.workflows.adapt.default_plan", small_plan)
        return adapt(data, out=out, **{**SHORT, "weights": "random", "decoder_options": options, **more})


def lessons(data: Path, crop_um: float = 16.0, **entry: Any) -> AreaLessons:
    made = lessons_of("semantic", read_dataset(data), SemanticEntry(**entry), crop_um=crop_um)
    assert isinstance(made, AreaLessons)
    return made


# what is learned


def test_unlabelled_ignore_and_other_are_not_background(tissue: Path) -> None:
    patch = read_dataset(tissue).patch(0)
    classes, unknown = known_classes(patch, background=False)
    assert unknown[:, :32].all()
    assert unknown[-16:, -16:].all()
    assert not unknown[:-16, 32:].any()
    assert set(np.unique(classes[~unknown])) == {1, 2, 3}  # "other" is a class
    _, with_background = known_classes(patch, background=True)
    assert not with_background[:-16, :32].any()
    assert with_background[-16:, -16:].all()  # ignored either way


def test_a_patch_without_a_map_teaches_nothing() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    patch = Patch(patch_id="p", image=image, labels=np.zeros((4, 6), np.int32), class_ids=np.zeros(1, np.int32))
    classes, unknown = known_classes(patch, background=True)
    assert unknown.all()
    assert not classes.any()


def test_pictures_of_regions_hold_classes_as_labels(tissue: Path) -> None:
    given = lessons(tissue)
    drawn = given.draw(None, 0)
    (first, *others) = given.pictures(drawn.patches, 0.25, mpp=None, ignore_unlabelled=False)
    assert len(others) == 3
    assert first.classes is not None
    assert np.array_equal(first.classes[first.labels][:-16, 32:], drawn.patches[0].regions[:-16, 32:])
    assert first.zoom == 2
    assert first.ignore is not None
    assert first.ignore[:, :32].all()
    assert [c.name for c in given.classes] == list(NAMES)
    assert "not trained on" in given.trained(drawn)
    assert drawn.instances > 4


def test_the_draw_of_regions_is_nested_and_prefers_what_is_labelled(tissue: Path) -> None:
    draws = [lessons(tissue, 16.0).draw(count, 3) for count in (1, 4, 8)]
    names = [[patch.patch_id for patch in draw.patches] for draw in draws]
    assert names[0] == names[1][:1]
    assert names[1] == names[2][:4]
    assert set(draws[1].groups) == {"p0", "p1"}  # slides take turns
    for patch in draws[2].patches:
        assert patch.regions is not None
        assert patch.image.shape == (32, 32, 3)
        assert (patch.regions > 0).mean() >= 0.5
    other = [patch.patch_id for patch in lessons(tissue).draw(8, 4).patches]
    assert other != names[2]


def test_only_the_training_split_is_drawn_from(tissue: Path) -> None:
    data = read_dataset(tissue)
    frame = data.patches.with_columns(split=np.array(["train", "test", "test", "train"], dtype=object))
    frame.write_parquet(tissue / "patches.parquet")
    assert set(lessons(tissue).draw(None, 0).sources) == {"t0", "t3"}
    assert set(lessons(tissue).draw(6, 0).sources) == {"t0", "t3"}


def test_nuclei_taken_together_are_one_class_where_there_are_none(tmp_path: Path) -> None:
    plain, classed = write_discs(tmp_path / "plain"), write_discs(tmp_path / "classed", classes=("a", "b"))
    one, two = (lessons(path, areas="nuclei") for path in (plain, classed))
    assert [c.name for c in one.classes] == ["nuclei"]
    assert [c.name for c in two.classes] == ["a", "b"]
    for given, kinds in ((one, {0, 1}), (two, {0, 1, 2})):
        drawn = given.draw(2, 0)
        assert drawn.instances == sum(len(patch.label_ids) for patch in drawn.patches)
        picture = given.pictures(drawn.patches, 0.25, mpp=None, ignore_unlabelled=False)[0]
        assert picture.classes is not None
        assert set(np.unique(picture.classes[picture.labels])) == kinds


def test_regions_come_first_where_there_are_some(tissue: Path, tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "discs")
    assert area_options(read_dataset(tissue), None) == {"areas": "regions"}
    assert area_options(read_dataset(discs), {"focal": 2}) == {"areas": "nuclei", "focal": 2}
    assert area_options(read_dataset(tissue), {"areas": "nuclei"})["areas"] == "nuclei"


def test_points_and_boxes_have_no_area(tmp_path: Path) -> None:
    import shapely

    from histoseed.annotations import Instances

    with DatasetWriter(tmp_path / "points", DatasetInfo(name="points")) as writer:
        image = painted(regions(0, 64, 64))
        writer.add("p", image, Instances.build([shapely.Point(9, 9)], kind="point"), mpp=0.5)
    with pytest.raises(DatasetError, match="points and boxes have no area"):
        lessons(tmp_path / "points", areas="nuclei").draw(None, 0)


def test_one_class_and_nothing_else_is_nothing_to_learn(tmp_path: Path) -> None:
    info = DatasetInfo(name="lesions", region_classes=named_classes(["lesion"]))
    with DatasetWriter(tmp_path / "lesions", info) as writer:
        truth = regions(0, 64, 64, classes=1)
        writer.add("p", painted(truth), regions=truth, mpp=0.5)
    with pytest.raises(DatasetError, match="one region class") as error:
        quick(tmp_path / "lesions", tmp_path / "m")
    assert "decoder.background=true" in error.value.fix
    assert "is background" in (given := lessons(tmp_path / "lesions", background=True)).trained(given.draw(None, 0))


# adapt


def test_adapt_writes_a_semantic_model(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    card = load_segmenter(folder).card
    assert (card.task, card.decoder.kind, card.decoder.areas) == ("semantic", "semantic", "regions")
    assert card.class_names == list(NAMES)
    assert card.metrics[-1]["key"] == "dice"
    assert (card.data[-1].patches, card.data[-1].groups) == (2, ("p0", "p1"))
    assert "regions of 3 classes" in card.data[-1].trained
    run = json.loads((folder / "run.json").read_text())
    assert run["settings"]["task"] == "semantic"
    assert "regions of 3 classes" in run["results"]["trained"]
    assert (folder / "loss.png").is_file()


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tissue: Path, tmp_path: Path) -> None:
    class Impatient:
        def __init__(self, left: int) -> None:
            self.left = left

        def start(self, total: int, unit: str, description: str) -> None:
            pass

        def advance(self, n: int, **facts: float) -> None:
            self.left -= n
            if self.left == 0:
                raise KeyboardInterrupt

        def done(self) -> None:
            pass

    with pytest.raises(KeyboardInterrupt):
        quick(tissue, tmp_path / "m", progress=Impatient(2), steps=4)
    assert (tmp_path / "m" / "checkpoint.safetensors").is_file()
    quick(tissue, tmp_path / "m", steps=4)
    quick(tissue, tmp_path / "whole", steps=4)
    sums = [hashlib.sha256((tmp_path / n / "model.safetensors").read_bytes()).hexdigest() for n in ("m", "whole")]
    assert sums[0] == sums[1]


def test_the_bundled_decoder_is_the_start_and_its_data_are_named(tissue: Path, tmp_path: Path) -> None:
    model = adapt(tissue, out=tmp_path / "m", **{**SHORT, "method": None, "learning_rate": 1e-9})
    bundled = load_segmenter(bundled_folder())
    assert model.card.method.name == "full"
    assert [entry.name for entry in model.card.data][:-1] == [entry.name for entry in bundled.card.data]
    ours, theirs = model.state_dict(), bundled.state_dict()
    np.testing.assert_allclose(ours["decoder.fuse.0.weight"], theirs["decoder.fuse.0.weight"], atol=1e-6)


def test_its_encoder_serves_a_model_that_finds_nuclei(trained: tuple[Path, Path], tmp_path: Path) -> None:
    semantic = load_segmenter(trained[1])
    discs = write_discs(tmp_path / "discs")
    options = {"steps": 1, "batch": 1, "patches": 1, "decoder_options": TINY, "dtype": "float32", "learning_rate": 1e-9}
    instance = adapt(discs, out=tmp_path / "m", encoder=str(trained[1]), method="full", **options)
    theirs, ours = semantic.encoder.state_dict(), instance.encoder.state_dict()
    weights = [key for key, value in theirs.items() if key.endswith("weight") and value.ndim == 4]
    assert ours.keys() == theirs.keys()
    assert len(weights) >= 20
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-6) for key in weights)
    bundled = load_segmenter(bundled_folder()).encoder.state_dict()
    assert not any(torch.allclose(bundled[key], theirs[key], atol=1e-2) for key in weights)
    card = load_segmenter(tmp_path / "m").card
    assert card.task == "instance"
    assert [entry.name for entry in card.data] == ["tissue", "discs"]  # what the encoder has seen is not forgotten
    assert card.encoder.stored


def test_a_semantic_model_is_a_start_of_its_own_kind(trained: tuple[Path, Path], tmp_path: Path) -> None:
    tissue, first = trained
    options = {"steps": 1, "batch": 1, "patches": 1, "dtype": "float32", "method": "full", "start": first}
    again = adapt(tissue, out=tmp_path / "again", **options)
    assert again.card.task == "semantic"
    assert again.card.decoder == load_segmenter(first).card.decoder
    with pytest.raises(InputError, match="task semantic, not instance") as error:
        adapt(tissue, out=tmp_path / "no", task="instance", **options)
    assert "--encoder" in error.value.fix
    with pytest.raises(InputError, match="The start has the decoder"):
        adapt(tissue, out=tmp_path / "no", decoder="cellvit", **{**options, "start": "bundled"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "stardist"}, "rays"),
        ({"decoder": "cellvit"}, "offsets"),
        ({"decoder": "semantic", "task": "instance"}, "--task semantic"),
        ({"classifier": "tokens"}, "single cells"),
        ({"nuclei": 5}, "counted in patches"),
        ({"ignore_unlabelled": True}, "not labelled is not trained on"),
        ({"decoder_options": {"areas": "cells"}}, "decoder.areas"),
        ({"decoder_options": {"areas": "nuclei"}}, "No patch has an annotated nucleus"),
    ],
)
def test_what_makes_no_sense_says_why(tissue: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, DatasetError)) as error:
        quick(tissue, tmp_path / "m", **{"decoder_options": {}, **options})
    assert message in f"{error.value} {error.value.where} {error.value.fix}"
    assert not (tmp_path / "m").exists()


def test_regions_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No patch has a map of regions") as error:
        quick(write_discs(tmp_path / "discs"), tmp_path / "m", decoder_options={"areas": "regions"})
    assert "decoder.areas=nuclei" in error.value.fix


# segment


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    Image.fromarray(painted(regions(7, 260, 340))).save(path)
    return path


def test_segment_writes_areas_and_no_nuclei(picture: Path, tmp_path: Path) -> None:
    how = {"model": PaintedTissue(), "mpp": 0.25, "tile_size": 224}
    found = segment(picture, out=tmp_path / "out", **how)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"areas.geojson", "classes.tif", "overlay.png", "summary.json", "run.json"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["task"], summary["areas"]) == ("semantic", len(found))
    assert "objects" not in summary
    assert set(found.class_name) <= set(NAMES)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["results"]["areas"] == len(found)
    in_memory = segment(picture, **how)
    assert in_memory.id.tolist() == found.id.tolist()
    with pytest.raises(InputError, match="no format 'labels'") as error:
        segment(picture, out=tmp_path / "no", formats=["labels"], **how)
    assert "geojson, classes, overlay" in error.value.fix


def test_an_interrupted_segmentation_goes_on(picture: Path, tmp_path: Path) -> None:
    class Impatient:
        left = 1

        def start(self, total: int, unit: str, description: str) -> None:
            pass

        def advance(self, n: int, **facts: float) -> None:
            assert "objects" not in facts
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= n

        def done(self) -> None:
            pass

    how = {"model": PaintedTissue(), "mpp": 0.25, "tile_size": 224}
    with pytest.raises(KeyboardInterrupt):
        segment(picture, out=tmp_path / "out", progress=Impatient(), **how)
    segment(picture, out=tmp_path / "out", **how)
    segment(picture, out=tmp_path / "whole", **how)
    for name in ("areas.geojson", "classes.tif", "overlay.png", "summary.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_several_slides(picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(painted(regions(8, 100, 120))).save(other)
    found = segment_slides([picture, other], out=tmp_path / "out", model=PaintedTissue(), mpp=0.25)
    assert set(found) == {"field", "other"}
    assert (tmp_path / "out" / "other" / "areas.geojson").is_file()


def test_a_data_set_gets_regions_and_no_objects(tissue: Path, tmp_path: Path) -> None:
    model = PaintedTissue(background=False, mpp=0.5)
    made = segment_dataset(tissue, out=tmp_path / "predicted", model=model)
    assert [c.name for c in made.info.region_classes] == list(NAMES)
    assert made.classes == ()
    assert made.instances.is_empty()
    patch = made.patch("t1")
    assert not patch.exhaustive  # nobody learns from it that there are no nuclei
    truth = read_dataset(tissue).patch("t1").regions
    assert patch.regions is not None
    assert truth is not None
    assert (patch.regions == truth)[:, 32:].all()
    made.verify()
    run = json.loads((tmp_path / "predicted" / "run.json").read_text())
    assert run["results"]["areas"] > 4
    with pytest.raises(InputError, match="only objects have probabilities"):
        segment_dataset(tissue, out=tmp_path / "no", model=model, probabilities=True)


def test_one_patch_at_another_resolution() -> None:
    truth = regions(2, 200, 240, smooth=12)
    model = PaintedTissue()
    for mpp in (0.25, 0.5):
        found = predict_areas(model, painted(truth), mpp)
        assert found.shape == truth.shape
        assert (found == truth).mean() > 0.98
    with pytest.raises(InputError, match="tells areas apart"):
        predict_patch(model, painted(truth), 0.25)


# evaluate


def test_a_perfect_model_has_perfect_scores(tissue: Path) -> None:
    result = evaluate(tissue, model=PaintedTissue(background=False, mpp=0.5), resamples=50)
    assert (result["protocol"], result["task"], result["areas"]) == (AREAS, "semantic", "regions")
    assert result["dice"] == result["iou_pooled"] == result["accuracy"] == 1.0
    assert (result["group_unit"], result["n_groups"]) == ("patient", 2)
    assert result["pixels"] == 4 * (128 * 96 - 16 * 16)
    assert any("was not judged" in note for note in result["notes"])
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["dice_other"] == 1.0


def test_what_evaluate_says_is_what_the_pixels_say(trained: tuple[Path, Path]) -> None:
    tissue, model = trained
    result = evaluate(tissue, model=model, resamples=20, dtype="float32")
    loaded, dices = load_segmenter(model), []
    for patch in read_dataset(tissue):
        truth, unknown = known_classes(patch, background=False)
        table = area_confusion(truth, predict_areas(loaded, patch.image, 0.5), 3, ignore=unknown)
        dices.append([area_dice(_only(table, k)) for k in (1, 2, 3)])
    assert result["dice"] == pytest.approx(float(np.nanmean(np.nanmean(dices, axis=0))))


def _only(table: np.ndarray, kind: int) -> np.ndarray:
    """The table of one class against everything else."""
    hit, row, column = table[kind, kind], table[kind].sum(), table[:, kind].sum()
    return np.array([[table.sum() - row - column + hit, column - hit], [row - hit, hit]])


def test_predictions_are_judged_like_the_model_that_made_them(trained: tuple[Path, Path], tmp_path: Path) -> None:
    tissue, model = trained
    segment_dataset(tissue, out=tmp_path / "predicted", model=model, dtype="float32")
    ran = evaluate(tissue, model=model, against=tmp_path / "predicted", resamples=20, dtype="float32")
    assert ran["against"]["dice"] == ran["dice"]
    assert ran["against"]["differences"]["dice"]["value"] == 0
    read = evaluate(tissue, predictions=tmp_path / "predicted", resamples=20)
    assert read["dice"] == ran["dice"]
    assert read["areas"] == "regions"


def test_nuclei_taken_together_are_judged_against_outlines(tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "discs", classes=("a", "b"), patches=2)
    with DatasetWriter(tmp_path / "plain", DatasetInfo(name="plain")) as writer:
        for patch in read_dataset(discs):
            writer.add(patch.patch_id, patch.image, patch.labels, mpp=1.0)
    plain = quick(tmp_path / "plain", tmp_path / "one", model_mpp=1.0)
    assert plain.card.class_names == ["nuclei"]
    together = evaluate(discs, model=plain, resamples=20)
    assert together["areas"] == "nuclei"
    assert set(together.accumulator.classes) == {"nuclei"}
    assert any("No scores of classes" in note for note in together["notes"])
    by_class = quick(discs, tmp_path / "two", model_mpp=1.0)
    apart = evaluate(discs, model=by_class, resamples=20)
    assert set(apart.accumulator.classes) == {"a", "b"}
    both = evaluate(discs, model=by_class, against=plain, resamples=20)  # one side has no classes
    assert set(both.accumulator.classes) == {"nuclei"}
    assert set(evaluate(discs, model=by_class, classes=False, resamples=20).accumulator.classes) == {"nuclei"}


def test_the_report_is_one_page_that_loads_nothing(tissue: Path, tmp_path: Path) -> None:
    model = PaintedTissue(background=False, mpp=0.5)
    evaluate(tissue, model=model, against=PaintedTissue(background=False, mpp=0.25), report=tmp_path / "r.html",
             resamples=20)  # fmt: skip
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Dice, pooled" in page
    assert "stroma" in page
    assert page.count("<img") >= 4
    assert 'src="http' not in page
    assert "<script" not in page


def test_seen_in_training_is_said(trained: tuple[Path, Path]) -> None:
    tissue, model = trained
    result = evaluate(tissue, model=model, resamples=20)
    assert any("the scores are too good" in warning for warning in result["warnings"])


def test_evaluations_that_make_no_sense(tissue: Path, tmp_path: Path) -> None:
    model = PaintedTissue(background=False, mpp=0.5)
    with pytest.raises(InputError, match="about single nuclei"):
        evaluate(tissue, model=model, protocol="pannuke")
    with pytest.raises(InputError, match="finds nuclei"):
        evaluate(tissue, model=model, against="bundled")
    with pytest.raises(InputError, match="different things"):
        evaluate(tissue, model=model, against=PaintedTissue(background=True, mpp=0.5))
    with pytest.raises(InputError, match="without their classes"):
        evaluate(tissue, model=model, classes=False)
    discs = write_discs(tmp_path / "discs")
    with pytest.raises(DatasetError, match="No patch has a map of regions"):
        evaluate(discs, model=model)
    with pytest.raises(InputError, match="tells areas apart"):
        evaluate(discs, model="bundled", against=model)
