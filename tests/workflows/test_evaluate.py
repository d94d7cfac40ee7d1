"""``evaluate``: from a data set and a model, or predictions, to scores."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from histoseed.datasets import DatasetInfo, DatasetWriter, Patch, named_classes, read_dataset
from histoseed.encoders import build_encoder
from histoseed.errors import DatasetError, InputError, OutputError, UnknownMppError
from histoseed.metrics import Accumulator, failures
from histoseed.segmenters import ClassEntry, DecoderEntry, EncoderEntry, ModelCard, Segmenter, TrainingData
from histoseed.workflows.evaluate import evaluate
from histoseed.workflows.evaluation import Answer, exposure, match_classes, truth_of
from histoseed.workflows.evaluation.pictures import Extremes
from histoseed.workflows.models import load_model
from histoseed.workflows.progress import Silent
from histoseed.workflows.segment_dataset import segment_dataset

FEW = {"resamples": 40}


def copy(source, out, change=lambda patch: {}, *, name=None, classes=("odd", "even"), skip=()):
    """A copy of a data set in which ``change`` gives other values to fields of a patch."""
    data = read_dataset(source)
    with DatasetWriter(out, DatasetInfo(name=name or data.name, classes=named_classes(classes))) as writer:
        for patch in data:
            if patch.patch_id not in skip:
                writer.add_patch(replace(patch, **change(patch)))
    return out


def without_classes(patch):
    return {"classes": (), "class_ids": np.zeros_like(patch.class_ids)}


def worse(patch):
    """Shifted by two pixels, and every fifth object is missing."""
    labels = np.roll(patch.labels, 2, axis=1)
    return {"labels": np.where(labels % 5 == 0, 0, labels)}


@pytest.fixture
def predicted(discs, tmp_path):
    return copy(discs, tmp_path / "predicted", worse, name="discs by hand")


def test_scores_are_those_of_the_metrics(discs, predicted):
    truth, answers = read_dataset(discs), read_dataset(predicted)
    direct = Accumulator("conic", classes=("odd", "even"), radius_um=4.0)
    for patch in truth:
        answer = answers.patch(patch.patch_id)
        direct.update(patch.labels, answer.labels, truth_classes=patch.class_ids, predicted_classes=answer.class_ids,
                      mpp=0.5, group=patch.slide, patch_id=patch.patch_id)  # fmt: skip
    found = evaluate(discs, predictions=predicted, protocol="conic", radius_um=4.0, seed=3, **FEW)
    for key, value in direct.compute().items():
        assert found[key] == value, key
    assert 0 < found["pq"] < 1
    interval = direct.intervals(["pq", "mpq_plus"], n=40, seed=3)
    assert found["intervals"]["pq"] == [interval["pq"].low, interval["pq"].high]
    assert found["intervals"]["mpq_plus"] == [interval["mpq_plus"].low, interval["mpq_plus"].high]
    assert (found["group_unit"], found["n_groups"], found["interval_level"]) == ("patient", 2, 0.95)


def test_the_truth_itself_is_perfect(discs):
    found = evaluate(discs, predictions=discs, **FEW)
    ones = ("pq", "dq", "sq", "aji", "aji_plus", "dice", "f1_detection", "mpq", "mpq_plus", "pq_odd", "f1_even")
    assert {key: found[key] for key in ones} == dict.fromkeys(ones, 1.0)
    truth = found["failures"]["truth"]
    assert truth["matched"] == found["n_instances"] == sum(truth.values())
    assert found["intervals"]["pq"] == [1.0, 1.0]


def test_no_difference_against_itself(discs, predicted):
    found = evaluate(discs, predictions=predicted, against=predicted, **FEW)
    differences = found["against"]["differences"]
    assert {"pq", "aji", "f1_detection", "mpq", "pq_odd"} <= differences.keys()
    assert all((d["value"], d["low"], d["high"]) == (0.0, 0.0, 0.0) for d in differences.values())
    names = {found.name, found.comparison.name}
    assert len(names) == 2


def test_a_difference_has_the_sign_of_the_better_one(discs, predicted):
    found = evaluate(discs, predictions=discs, against=predicted, **FEW)
    d = found["against"]["differences"]["pq"]
    assert d["value"] == pytest.approx(1.0 - found["against"]["pq"])
    assert 0 < d["low"] <= d["value"] <= d["high"]


def test_json_holds_no_nan_and_no_numpy(discs, predicted, tmp_path):
    one_group = copy(
        discs, tmp_path / "one", lambda _: {"patient": "P", "group": "P", "mpp": None, "mpp_source": "unknown"}
    )
    for truth in (discs, one_group):
        found = evaluate(truth, predictions=predicted, against=discs, **FEW)
        value = json.loads(json.dumps(found.as_dict(), allow_nan=False))
        assert value == found.as_dict() == dict(found)
    assert found["intervals"]["pq"] is None
    assert any("one patient" in note for note in found["notes"])


def test_exactly_one_side_is_judged(discs):
    for both in ({}, {"model": "bundled", "predictions": discs}):
        with pytest.raises(InputError, match="Exactly one"):
            evaluate(discs, **both)


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"protocol": "panuke"}, {"radius_um": 0.0}, {"mpp": -1.0}])
def test_a_wrong_option_is_found_before_any_patch_is_read(discs, wrong):
    for file in (discs / "images").iterdir():
        file.write_bytes(b"")
    with pytest.raises(InputError, match=r"resamples|pannuke|radius|--mpp"):
        evaluate(discs, predictions=discs, **FEW | wrong)


# --- classes ----------------------------------------------------------------------------------------------------


def test_classes_are_matched_by_name_not_by_number(discs, tmp_path):
    names = ("even", "odd")
    swapped = copy(
        discs,
        tmp_path / "s",
        lambda p: {"classes": names, "class_ids": np.array([0, 2, 1])[p.class_ids]},
        classes=names,
    )
    assert evaluate(discs, predictions=swapped, **FEW)["mpq"] == 1.0


def test_other_class_names_are_an_error_that_lists_both(discs, tmp_path):
    names = ("strange", "even")
    other = copy(discs, tmp_path / "other", lambda _: {"classes": names}, classes=names)
    with pytest.raises(InputError, match=r"'odd', 'even'.*'strange', 'even'.*--no-classes"):
        evaluate(discs, predictions=other, **FEW)
    found = evaluate(discs, predictions=other, classes=False, **FEW)
    assert (found["pq"], found["mpq"], found["confusion"]) == (1.0, None, None)


@pytest.mark.parametrize("which", ["truth", "prediction"])
def test_without_classes_on_a_side_there_are_no_class_scores(discs, tmp_path, which):
    bare = copy(discs, tmp_path / "bare", without_classes, classes=())
    truth, prediction = (bare, discs) if which == "truth" else (discs, bare)
    found = evaluate(truth, predictions=prediction, **FEW)
    assert (found["pq"], found["mpq"]) == (1.0, None)
    assert any("has no classes" in note for note in found["notes"])


def test_a_single_class_of_another_name_says_only_object():
    for truth, predicted in ((["nucleus"], ["a", "b"]), (["a", "b"], ["nucleus"])):
        match = match_classes(truth, predicted, name="m")
        assert match.classes == ()
        assert "'nucleus'" in match.note
    assert match_classes(["a"], ["a"], name="m").classes == ("a",)
    fewer = match_classes(["a", "b", "c"], ["c", "a"], name="m")
    assert fewer.translate(np.array([0, 1, 2])).tolist() == [0, 3, 1]
    assert "never predicts 'b'" in fewer.note


def test_a_rival_without_classes_is_compared_without_them(discs, predicted, tmp_path):
    bare = copy(discs, tmp_path / "bare", without_classes, classes=())
    found = evaluate(discs, predictions=predicted, against=bare, **FEW)
    assert found["mpq"] is not None
    assert found["against"]["mpq"] is None
    assert "mpq" not in found["against"]["differences"]
    assert found["against"]["differences"]["pq"]["value"] == pytest.approx(found["pq"] - 1.0)


# --- what does not count ----------------------------------------------------------------------------------------


def test_what_lies_far_from_the_objects_of_a_partly_annotated_patch_does_not_count(discs, tmp_path):
    def with_extra(patch):
        """One more object, 6 um from all others."""
        labels = patch.labels.copy()
        far = distance_transform_edt(labels == 0) * patch.mpp
        y, x = np.unravel_index(far[8:-8, 8:-8].argmax(), (112, 112))
        assert far[y + 8, x + 8] > 6
        labels[y + 6 : y + 11, x + 6 : x + 11] = labels.max() + 1
        return {"labels": labels, "class_ids": np.append(patch.class_ids, 1).astype(np.int32)}

    extra = copy(discs, tmp_path / "extra", with_extra)
    assert evaluate(discs, predictions=extra, **FEW)["failures"]["predicted"]["false"] == 4
    partial = copy(discs, tmp_path / "partial", lambda _: {"exhaustive": False})
    found = evaluate(partial, predictions=extra, **FEW)
    assert (found["pq"], found["failures"]["predicted"]["false"]) == (1.0, 0)
    assert any("partly annotated" in note for note in found["notes"])


def test_the_ignore_area_does_not_count(discs, tmp_path):
    half = np.zeros((128, 128), bool)
    half[:, 64:] = True
    left = copy(discs, tmp_path / "left", lambda patch: {"labels": np.where(half, 0, patch.labels)})
    ignoring = copy(discs, tmp_path / "ignoring", lambda _: {"ignore": half})
    assert evaluate(discs, predictions=left, **FEW)["pq"] < 0.9
    # Objects that lie mostly in the ignored half are gone from the truth, and their rests stay in the prediction.
    found = evaluate(ignoring, predictions=left, **FEW)
    assert found["failures"]["truth"]["missed"] == 0
    assert found["sq"] == 1.0


def test_unknown_resolution(discs, predicted, tmp_path):
    bare = copy(discs, tmp_path / "bare", lambda _: {"mpp": None, "mpp_source": "unknown"})
    with pytest.raises(UnknownMppError, match="--mpp"):
        evaluate(bare, model="bundled", **FEW)
    found = evaluate(bare, predictions=predicted, **FEW)
    assert (found["n_without_mpp"], found["f1_detection"]) == (4, None)
    assert found["by_size"]["diameter_unit"] == "px"
    known = evaluate(bare, predictions=predicted, mpp=0.5, **FEW)
    assert known["f1_detection"] == evaluate(discs, predictions=predicted, **FEW)["f1_detection"]
    with pytest.raises(InputError, match="--mpp"):
        evaluate(bare, predictions=predicted, mpp=1e6, **FEW)


# --- predictions that do not fit --------------------------------------------------------------------------------


def test_missing_and_extra_patches_are_named(discs, tmp_path):
    fewer = copy(discs, tmp_path / "fewer", skip=("p1",))
    with pytest.raises(DatasetError, match=r"1 patch has no prediction \('p1'\)"):
        evaluate(discs, predictions=fewer, **FEW)
    with pytest.raises(DatasetError, match=r"does not have \('p1'\)"):
        evaluate(fewer, predictions=discs, **FEW)


def test_another_size_is_an_error(discs, tmp_path):
    small = copy(discs, tmp_path / "small", lambda p: {"labels": p.labels[:100], "image": p.image[:100]})
    with pytest.raises(DatasetError, match=r"128 x 128 pixels, the prediction 128 x 100.*"):
        evaluate(discs, predictions=small, **FEW)


def test_another_picture_is_remarked(discs, tmp_path):
    brighter = copy(discs, tmp_path / "b", lambda p: {"image": p.image // 2} if p.patch_id == "p2" else {})
    found = evaluate(discs, predictions=brighter, **FEW)
    assert any("another picture" in note and "'p2'" in note for note in found["notes"])


def test_only_a_split(discs, tmp_path):
    parts = {"p0": "train", "p1": "train", "p2": "test", "p3": "test"}
    data = copy(discs, tmp_path / "d", lambda p: {"split": parts[p.patch_id], "group": None, "slide": None,
                                                  "patient": None})  # fmt: skip
    test = copy(discs, tmp_path / "test", skip=("p0", "p1"))
    found = evaluate(data, predictions=test, split="test", **FEW)
    assert (found["n_patches"], found["split"], found["group_unit"]) == (2, "test", "patch")
    assert evaluate(data, predictions=discs, split="test", **FEW)["n_patches"] == 2
    with pytest.raises(DatasetError, match="val"):
        evaluate(data, predictions=discs, split="val", **FEW)


# --- models -----------------------------------------------------------------------------------------------------


def model_that_saw(*data, classes=()):
    """A segmenter with random weights and a card that names training data."""
    encoder = build_encoder("bundled", weights="random", image_size=64)
    card = ModelCard(
        histoseed="0", name="mine", mpp=0.5, encoder=EncoderEntry(name="bundled", weights="random"), data=data,
        classes=tuple(ClassEntry(name=name) for name in classes),
        decoder=DecoderEntry(widths=(8, 8, 8, 8), image_widths=(4, 4)),
    )  # fmt: skip
    return Segmenter(encoder, card)


def test_a_model_gives_what_its_predictions_give(discs, tmp_path):
    segment_dataset(discs, out=tmp_path / "by_model", model="bundled", dtype="float32")
    ran = evaluate(discs, model="bundled", dtype="float32", **FEW)
    read = evaluate(discs, predictions=tmp_path / "by_model", **FEW)
    assert ran.scores == read.scores
    assert ran["pq"] > 0.5
    assert ran["model_sha256"] == load_model("bundled").card.weights_sha256
    assert read["predictions"] == f"discs by {load_model('bundled').card.name}"


@pytest.mark.parametrize(
    ("name", "groups", "warned", "verdict"),
    [
        ("discs", ("s1",), r"2 of the 4 patches \(s1\) belong to groups of this data set", "yes"),
        ("other", ("s1", "s9"), r"'other'.*if the names mean the same there", "perhaps"),
        ("Discs", ("p3_x0_y0_s64",), r"1 of the 4 patches \(p3\)", "yes"),
        ("discs", (), "does not say on which groups", "yes"),
        ("discs_v2", (), "both names hold 'discs'.*Perhaps", "perhaps"),
        ("discs", ("s7",), None, "no"),
        ("other", (), None, "not listed"),
    ],
)
def test_what_was_seen_in_training_is_told(discs, name, groups, warned, verdict):
    model = model_that_saw(TrainingData(name=name, groups=groups))
    found = exposure(read_dataset(discs), model.card)
    assert (found.verdict, found.related) == (verdict, (name,) if warned else ())
    assert len(found.warnings) == (warned is not None)
    if warned:
        assert re.search(warned, found.warnings[0])
    assert len(found.notes) == (name == "discs" and groups == ("s7",))


def test_leakage_stands_in_the_result_and_the_report(discs, tmp_path):
    model = model_that_saw(TrainingData(name="discs", groups=("s0",)))
    found = evaluate(discs, model=model, report=tmp_path / "r.html", **FEW)
    assert "2 of the 4 patches (s0)" in found["warnings"][0]
    assert found["model_data"][0]["name"] == "discs"
    assert "2 of the 4 patches (s0)" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("note", "trained", "verdict"),
    [
        ("Shares patients with TNBC.", "tnbc", "perhaps"),
        ("Derived from TNBC.", "tnbc", "yes"),
        ("Derived from tnbc_part_two.", "tnbc", "perhaps"),
        ("No patient is shared with TNBC.", "tnbc", "not listed"),
        ("Shares patients with TNBC.", "nb", "not listed"),
    ],
)
def test_leakage_notes_of_the_data_set_are_read(discs, tmp_path, note, trained, verdict):
    info = DatasetInfo(name="x", leakage_notes=(note,))
    with DatasetWriter(tmp_path / "x", info) as writer:
        for patch in read_dataset(discs):
            writer.add_patch(replace(patch, **without_classes(patch)))
    card = model_that_saw(TrainingData(name="elsewhere"), TrainingData(name=trained)).card
    found = exposure(read_dataset(tmp_path / "x"), card)
    assert found.verdict == verdict
    assert len(found.warnings) == (verdict != "not listed")


def test_a_model_that_says_nothing_of_its_training_is_unknown(discs):
    assert exposure(read_dataset(discs), model_that_saw().card).verdict == "unknown"


def test_progress_is_told_every_patch(discs, predicted):
    class Listener(Silent):
        heard = 0

        def start(self, total, unit, description):
            self.unit = unit

        def advance(self, n, **facts):
            self.heard += n * (self.unit == "patches")

    listener = Listener()
    evaluate(discs, predictions=predicted, progress=listener, **FEW)
    assert listener.heard == 4


# --- the report -------------------------------------------------------------------------------------------------


def test_the_report_is_complete_in_itself_escaped_and_shows_where_it_fails(discs, tmp_path):
    names = ("<script>alert(1)</script>", "even")
    truth = copy(discs, tmp_path / "t", lambda _: {"classes": names}, classes=names, name="<b>bold</b>")
    answers = copy(truth, tmp_path / "a", worse, classes=names)
    evaluate(truth, predictions=answers, against=truth, report=tmp_path / "report.html", **FEW)
    page = (tmp_path / "report.html").read_text("utf-8")

    assert page.startswith("<!DOCTYPE html>")
    sources = re.findall(r"(?:src|srcset|href|url|action|data)\s*[=(]\s*[\"']?([^\"'\s>)]+)", page)
    assert sources
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert not re.search(r"https?://|@import|<link|<iframe|<object", page)

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>bold" not in page

    for title in ("Scores", "Comparison", "Classes", "Where it fails", "Worst patches", "How it was measured"):
        assert f">{title}</h2>" in page
    assert page.count("Image, truth, prediction and differences of patch") == 4


def test_an_existing_report_is_not_replaced_unless_told(discs, predicted, tmp_path):
    target = tmp_path / "r.html"
    target.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        evaluate(discs, predictions=predicted, report=target, **FEW)
    assert target.read_text() == "mine"
    evaluate(discs, predictions=predicted, report=target, overwrite=True, **FEW)
    assert target.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(OutputError, match="folder"):
        evaluate(discs, predictions=predicted, report=tmp_path, **FEW)


def test_a_failure_leaves_no_report(discs, tmp_path):
    fewer = copy(discs, tmp_path / "fewer", skip=("p3",))
    with pytest.raises(DatasetError):
        evaluate(discs, predictions=fewer, report=tmp_path / "r.html", **FEW)
    assert not list(tmp_path.glob("*r.html*"))


def test_a_set_without_objects_still_has_a_report(discs, tmp_path):
    empty = copy(discs, tmp_path / "e", lambda p: {"labels": np.zeros_like(p.labels)})
    found = evaluate(empty, predictions=empty, against=empty, report=tmp_path / "r.html", **FEW)
    assert (found["pq"], found["n_empty"]) == (None, 4)
    assert "no object on either side" in (tmp_path / "r.html").read_text()


def test_prompted_scores_have_a_report_too(discs, predicted, tmp_path):
    found = evaluate(discs, predictions=predicted, protocol="rapid-cytomine", report=tmp_path / "r.html", **FEW)
    assert found["pq"] is None
    assert 0 < found["iou"] < 1
    assert found["intervals"]["iou"][0] <= found["iou"] <= found["intervals"]["iou"][1]


def test_the_worst_patches_come_first_and_the_window_shows_the_failures():
    def offered(k, lost):
        """A patch of 600 x 600 pixels with 16 objects, of which the last ``lost`` are missed."""
        labels = np.zeros((600, 600), np.int32)
        for i in range(16):
            labels[20 + 150 * (i // 4) :, 20 + 150 * (i % 4) :][:20, :20] = i + 1
        patch = Patch(patch_id=f"p{k}", image=np.full((600, 600, 3), 220, np.uint8), labels=labels,
                      class_ids=np.zeros(17, np.int32), mpp=0.5)  # fmt: skip
        answer = Answer(np.where(labels > 16 - lost, 0, labels), np.zeros(17, np.int32))
        return truth_of(patch, None), answer, failures(labels, answer.labels)

    extremes = Extremes(match_classes([], [], name="m"), {}, worst=2, best=1)
    for k, lost in enumerate((1, 5, 0, 3)):
        extremes.offer(*offered(k, lost))
    assert [panel.patch_id for panel in extremes.worst] == ["p1", "p3"]
    assert [panel.patch_id for panel in extremes.best] == ["p2"]
    assert extremes.best[0].score == 1.0
    assert extremes.worst[1].outcome == "3 missed"
    # The three missed objects stand at x = 170, 320, 470 and y = 470; a window of 64 um is 128 pixels wide.
    x, y = map(int, re.search(r"64 µm at x (\d+), y (\d+)", extremes.worst[1].window).groups())
    assert 470 - 128 < y < 490
    assert any(at - 128 < x < at + 20 for at in (170, 320, 470))
