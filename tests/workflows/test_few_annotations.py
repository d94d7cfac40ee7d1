"""The few-annotation protocol: budgets in nuclei, kinds of annotation, classes, selection, balance."""

import json
from dataclasses import replace

import numpy as np
import pytest

from histoseed.datasets import DatasetInfo, DatasetWriter, Marks, named_classes, read_dataset
from histoseed.datasets.objects import measure_labels
from histoseed.encoders import choose_encoder
from histoseed.errors import DatasetError, InputError, UnknownMppError
from histoseed.segmenters import load_segmenter
from histoseed.workflows.adapt import adapt, default_plan
from histoseed.workflows.adaptation import order_by
from histoseed.workflows.annotated import draw_patches, pictures_of
from histoseed.workflows.evaluate import evaluate
from histoseed.workflows.known_area import FAR_UM, MARGIN_UM, RING_UM, known_area
from histoseed.workflows.models import load_model
from histoseed.workflows.progress import Silent

TINY = {"decoder_options": {"widths": [8, 8, 8, 8], "image_widths": [4, 4]}}
SHORT = {"steps": 2, "batch": 2, "dtype": "float32"}
FRESH = SHORT | TINY | {"weights": "random", "model_mpp": 0.5}


@pytest.fixture(autouse=True)
def _small(tmp_path, monkeypatch):
    """Crops of 64 pixels, a checkpoint every second step, and a cache of its own."""
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))

    def small_plan(**how):
        return replace(default_plan(**how), crop=64, views=1, checkpoint_every=2)

    monkeypatch.setattr("histoseed.workflows.adapt.default_plan", small_plan)


def marked(patch, kind, keep=()):
    """A patch whose outlines became marks, all but some."""
    measured = measure_labels(patch.labels)
    gone = ~np.isin(measured["label"], keep)
    centres = np.stack([measured["centroid_x"], measured["centroid_y"]], 1)[gone]
    boxes = np.stack([measured[name] for name in ("x0", "y0", "x1", "y1")], 1)[gone]
    classes = patch.class_ids[measured["label"]][gone].astype(np.int32)
    marks = Marks(points=centres, point_classes=classes) if kind == "point" else Marks(boxes=boxes, box_classes=classes)
    return replace(patch, labels=np.where(np.isin(patch.labels, keep), patch.labels, 0).astype(np.int32), marks=marks)


def as_marks(source, out, kind, *, keep=lambda patch: (), **changes):
    data = read_dataset(source)
    with DatasetWriter(out, replace(data.info, name=out.name)) as writer:
        for patch in data:
            writer.add_patch(replace(marked(patch, kind, keep(patch)), **changes))
    return out


@pytest.fixture
def points(discs, tmp_path):
    return as_marks(discs, tmp_path / "points", "point")


@pytest.fixture
def boxes(discs, tmp_path):
    return as_marks(discs, tmp_path / "boxes", "box")


# --- how much ---------------------------------------------------------------------------------------------------


def test_a_budget_of_nuclei_is_the_shortest_draw_that_reaches_it(discs, points):
    for folder in (discs, points):
        data = read_dataset(folder)
        counts = [draw_patches(data, n, 3).instances for n in (1, 2, 3, 4)]
        for budget in (1, counts[0], counts[0] + 1, counts[2], counts[3]):
            drawn = draw_patches(data, None, 3, nuclei=budget)
            fewest = next(n for n, count in enumerate(counts, 1) if count >= budget)
            assert [p.patch_id for p in drawn.patches] == [p.patch_id for p in draw_patches(data, fewest, 3).patches]
            assert drawn.instances == counts[fewest - 1] >= budget
    assert draw_patches(read_dataset(discs), None, 3, nuclei=1).kinds["mask"] == counts[0]
    assert draw_patches(data, None, 3, nuclei=1).kinds["point"] > 0


def test_budgets_that_cannot_be(discs):
    data = read_dataset(discs)
    with pytest.raises(InputError, match="two ways to say how much"):
        draw_patches(data, 1, 0, nuclei=5)
    whole = draw_patches(data, 4, 0).instances
    with pytest.raises(InputError, match=rf"--nuclei: {whole + 1} nuclei were asked for.*show {whole}"):
        draw_patches(data, None, 0, nuclei=whole + 1)


def test_the_number_of_nuclei_is_stated(discs, tmp_path):
    model = adapt(discs, out=tmp_path / "m", nuclei=15, select="diverse", **FRESH)
    seen = model.card.data[-1]
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert (run["settings"]["nuclei"], run["settings"]["select"]) == (15, "diverse")
    results = run["results"]
    assert seen.instances == results["instances"] == results["kinds"]["mask"] == seen.kinds["mask"] >= 15
    assert f"{seen.instances} outlines" in seen.trained == results["trained"]


def test_a_crop_in_micrometres_without_a_resolution_names_the_option(discs, tmp_path):
    data = read_dataset(discs)
    with DatasetWriter(tmp_path / "d", data.info) as writer:
        for patch in data:
            writer.add_patch(replace(patch, mpp=None, mpp_source="unknown"))
    with pytest.raises(UnknownMppError, match=r"--mpp 0\.25"):
        adapt(tmp_path / "d", out=tmp_path / "m", patches=1, **FRESH)


# --- what is known ----------------------------------------------------------------------------------------------


def distance_from(places, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.min([np.hypot(x - int(px), y - int(py)) for px, py in places], axis=0)


def test_points_say_nothing_of_what_is_near_them(discs):
    patch = marked(read_dataset(discs).patch("p0"), "point")
    (picture,) = pictures_of([patch], 0.25)
    far = distance_from(patch.marks.points, patch.labels.shape) * patch.mpp > FAR_UM
    np.testing.assert_array_equal(picture.background, far)
    assert picture.ignore.all()
    assert not picture.labels.any()


def test_what_lies_outside_of_all_boxes_is_background(discs):
    patch = marked(read_dataset(discs).patch("p0"), "box")
    known = known_area(patch, patch.mpp, partly=False)
    inside = np.zeros(patch.labels.shape, bool)
    for x0, y0, x1, y1 in patch.marks.boxes.astype(int):
        reach = int(MARGIN_UM / patch.mpp)
        inside[max(0, y0 - reach) : y1 + reach, max(0, x0 - reach) : x1 + reach] = True
    np.testing.assert_array_equal(known.background, ~inside)
    assert known.unlabelled.all()
    assert known.ignore is None


def test_outlines_beside_boxes_keep_their_pixels(discs):
    whole = read_dataset(discs).patch("p0")
    patch = marked(whole, "box", keep=whole.label_ids[:5])
    known = known_area(patch, patch.mpp, partly=False)
    assert known.background is None
    assert not known.unlabelled[patch.labels > 0].any()
    for x0, y0, x1, y1 in patch.marks.boxes.astype(int):
        box = np.s_[y0:y1, x0:x1]
        np.testing.assert_array_equal(known.unlabelled[box], patch.labels[box] == 0)


@pytest.mark.parametrize("kind", ["point", "box"])
def test_a_partly_annotated_patch_knows_little_background(discs, kind):
    patch = replace(marked(read_dataset(discs).patch("p0"), kind), exhaustive=False)
    known = known_area(patch, patch.mpp, partly=True)
    assert known.ignore.any()
    if kind == "point":
        assert not known.background.any()
        near = distance_from(patch.marks.points, patch.labels.shape) * patch.mpp <= FAR_UM
        np.testing.assert_array_equal(~known.ignore, near)
    else:
        assert 0 < known.background.sum() < 0.5 * known.ignore.size
        assert not (known.background & known.ignore).any()
        edge = distance_from(patch.marks.centres, patch.labels.shape) * patch.mpp
        assert edge[known.background].max() < 9 * patch.mpp * np.sqrt(2) + MARGIN_UM * np.sqrt(2) + RING_UM + 1


def test_an_ignored_point_teaches_nothing(discs):
    patch = marked(read_dataset(discs).patch("p0"), "point")
    ignore = np.zeros(patch.labels.shape, bool)
    ignore[:, :64] = True
    (picture,) = pictures_of([replace(patch, ignore=ignore)], 0.25)
    assert (picture.marks.points[:, 0] >= 64).all()
    assert not (picture.background & ignore).any()


# --- what trains, and what is scored ----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "losses"), [("point", {"point", "point class"}), ("box", {"box", "box class"})])
def test_the_bundled_model_learns_from_marks_alone(discs, tmp_path, kind, losses):
    source = as_marks(discs, tmp_path / kind, kind)
    model = adapt(source, out=tmp_path / "m", patches=2, **SHORT)
    row = json.loads((tmp_path / "m" / "history.json").read_text())[-1]
    named = {"step", "loss", "learning_rate", "f1_detection", "background", "remembered"}
    assert set(row) == named | losses
    last = model.card.metrics[-1]
    assert (last["score"], last["key"]) == ("detection F1 of the fit", "f1_detection")
    seen = model.card.data[-1]
    assert seen.kinds == {"mask": 0, "polygon": 0, "box": 0, "point": 0} | {kind: seen.instances}
    assert seen.instances > 0
    assert f"{seen.instances} {kind}" in seen.trained
    assert load_segmenter(tmp_path / "m").card == model.card


def test_outlines_and_boxes_train_together_and_resume(discs, tmp_path):
    source = as_marks(discs, tmp_path / "mixed", "box", keep=lambda patch: patch.label_ids[::2])

    class Impatient:
        left = 3

        def start(self, total, unit, description):
            pass

        def advance(self, n, **facts):
            self.left -= n
            if self.left == 0:
                raise KeyboardInterrupt

        def done(self):
            pass

    how = FRESH | {"patches": 2, "steps": 4, "batch": 1, "balance": 0.5}
    with pytest.raises(KeyboardInterrupt):
        adapt(source, out=tmp_path / "broken", progress=Impatient(), **how)
    adapt(source, out=tmp_path / "broken", **how)
    model = adapt(source, out=tmp_path / "whole", **how)
    for name in ("model.safetensors", "model.json", "history.json"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    row = json.loads((tmp_path / "whole" / "history.json").read_text())[-1]
    assert {"semantic", "box", "box class", "pq"} <= set(row)
    kinds = model.card.data[-1].kinds
    assert kinds["mask"] > 0
    assert kinds["box"] > 0
    assert "outlines: every map" in model.card.data[-1].trained
    assert "boxes: that" in model.card.data[-1].trained


def test_marks_alone_cannot_teach_an_untrained_decoder(points, tmp_path):
    with pytest.raises(InputError, match=r"Only points are annotated.*--start MODEL"):
        adapt(points, out=tmp_path / "m", patches=1, **FRESH)
    assert not (tmp_path / "m").exists()


def test_points_give_detection_and_class_f1_and_never_pq(discs, points):
    found = evaluate(points, predictions=discs, resamples=20)
    assert (found["f1_detection"], found["mf1"], found["n_instances"]) == (1.0, 1.0, found["n_without_outline"])
    undefined = ("pq", "sq", "dq", "aji", "dice", "mpq", "mpq_plus", "pq_odd", "failures", "by_size")
    assert {key: found[key] for key in undefined} == dict.fromkeys(undefined)
    assert {"pq", "aji", "dice"} <= set(found["undefined"])
    assert found["kinds"]["point"] == found["n_instances"]
    assert any("PQ, SQ, AJI, Dice" in note for note in found["notes"])
    assert "points: as detections" in found["scored"]
    assert found["confusion"]["counts"][1][1] > 0


def test_predictions_have_outlines(discs, points):
    with pytest.raises(DatasetError, match="no outlined object"):
        evaluate(discs, predictions=points, resamples=5)


def test_missed_and_false_points(discs, points, tmp_path):
    fewer = tmp_path / "fewer"
    data = read_dataset(discs)
    with DatasetWriter(fewer, data.info) as writer:
        for patch in data:
            gone = patch.label_ids[0]
            writer.add_patch(replace(patch, labels=np.where(patch.labels == gone, 0, patch.labels)))
    found = evaluate(points, predictions=fewer, report=tmp_path / "r.html", resamples=20)
    total = found["n_instances"]
    assert found["recall_detection"] == pytest.approx((total - 4) / total)
    assert found["precision_detection"] == 1.0
    page = (tmp_path / "r.html").read_text()
    assert "Where it fails" not in page
    assert f"Of the {total} annotated objects" in page
    assert "By the detection F1 of the single patch" in page
    assert [panel.score_name for panel in found.worst] == ["F1"] * 4
    scores = [panel.score for panel in found.worst]
    assert scores == sorted(scores)
    assert found.worst[0].outcome == "1 missed, 0 false"


def test_outlines_and_boxes_are_scored_apart(discs, tmp_path):
    mixed = as_marks(discs, tmp_path / "mixed", "box", keep=lambda patch: patch.label_ids[::2])
    found = evaluate(mixed, predictions=discs, resamples=20)
    assert (found["pq"], found["f1_detection"], found["undefined"]) == (1.0, 1.0, [])
    assert found["n_without_outline"] == found["kinds"]["box"] < found["n_instances"]
    assert "outlines: by overlap" in found["scored"]
    # Predictions of the outlined half alone: perfect pixels, half of the detections.
    half = as_marks(discs, tmp_path / "half", "box", keep=lambda patch: patch.label_ids[::2])
    found = evaluate(mixed, predictions=half, resamples=20)
    assert found["pq"] == 1.0
    assert found["recall_detection"] == pytest.approx(found["kinds"]["mask"] / found["n_instances"])


def test_points_need_a_resolution_and_outlines_their_protocol(discs, points, tmp_path):
    bare = as_marks(discs, tmp_path / "bare", "point", mpp=None, mpp_source="unknown")
    with pytest.raises(UnknownMppError, match="--mpp"):
        evaluate(bare, predictions=discs, resamples=20)
    assert evaluate(bare, predictions=discs, mpp=0.5, resamples=20)["f1_detection"] == 1.0
    with pytest.raises(DatasetError, match="rapid-cytomine scores outlines"):
        evaluate(points, predictions=discs, protocol="rapid-cytomine", resamples=20)


# --- classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [(), ("nucleus",)])
@pytest.mark.parametrize("kind", ["outline", "point"])
def test_no_class_and_one_class(discs, tmp_path, classes, kind):
    data = read_dataset(discs)
    with DatasetWriter(tmp_path / "d", DatasetInfo(name="d", classes=named_classes(classes))) as writer:
        for patch in data:
            ids = np.where(patch.class_ids > 0, len(classes), 0).astype(np.int32)
            own = replace(patch, classes=classes, class_ids=ids)
            writer.add_patch(own if kind == "outline" else marked(own, "point"))
    how = FRESH if kind == "outline" else SHORT
    model = adapt(tmp_path / "d", out=tmp_path / "m", patches=1, **how)
    assert model.card.class_names == list(classes)
    row = json.loads((tmp_path / "m" / "history.json").read_text())[-1]
    assert any("class" in part for part in row) == bool(classes)
    found = evaluate(read_dataset(tmp_path / "d").subset(["p0"]), model=model, resamples=5)
    assert found["n_instances"] > 0
    assert ("f1_nucleus" in found) == bool(classes)


# --- which ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("select", ["diverse", "uncertain"])
def test_selected_patches_are_nested(discs, select):
    data, model = read_dataset(discs), load_model("bundled")
    how = {"mpp": None, "seed": 0, "device": "cpu", "told": Silent()}
    order = order_by(select, model, choose_encoder("bundled"), 0.25, **how)
    two, three = (draw_patches(data, count, 1, order=order) for count in (2, 3))
    assert [p.patch_id for p in three.patches][:2] == [p.patch_id for p in two.patches]
    assert len(set(three.sources)) == 3
    assert two.groups == ("s0", "s1")
    assert order_by("random", model, choose_encoder("bundled"), 0.25, **how) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"select": "quality", "patches": 1}, "no predictor of it yet"),
        ({"select": "divers", "patches": 1}, "Use diverse"),
        ({"select": "uncertain", "patches": 1, "weights": "random"}, "untrained model is unsure everywhere"),
        ({"select": "diverse"}, "nothing to select"),
        ({"balance": 2.0}, "--balance"),
        ({"patches": 1, "nuclei": 5}, "Give one of them"),
    ],
)
def test_choices_that_cannot_be_say_why(discs, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        adapt(discs, out=tmp_path / "m", **SHORT, **arguments)
    assert not (tmp_path / "m").exists()


def test_balance_changes_what_is_drawn_and_is_repeatable(discs, tmp_path):
    states = [
        adapt(discs, out=tmp_path / str(k), patches=2, balance=balance, **FRESH).state_dict()["decoder.head.weight"]
        for k, balance in enumerate((0.85, 0.85, None))
    ]
    assert states[0].equal(states[1])
    assert json.loads((tmp_path / "0" / "run.json").read_text())["settings"]["plan"]["balance"] == 0.85
