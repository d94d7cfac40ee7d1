"""Scores of promptable models on annotated objects: against models whose answers are known."""

import dataclasses
import itertools

import numpy as np
import pytest

from fixtures.disc_sets import write_discs
from histoseed.datasets import DatasetInfo, DatasetWriter, read_dataset
from histoseed.errors import DatasetError, InputError, UnknownMppError
from histoseed.geometry import Region
from histoseed.metrics import PUBLISHED_USABILITY, USABILITY
from histoseed.prompting import Answer, Candidate, Embedding, WindowPolicy
from histoseed.workflows.prompt_scores import objects_to_score, score_prompts
from histoseed.workflows.prompting.answering import Asking, answer_patch, prompt_for, targets_of
from histoseed.workflows.prompting.conditions import Condition


class Boxes:
    """Answers with what the prompt says lies inside, pixel by pixel; a second candidate is the quarter of it."""

    name, fingerprint = "boxes", "b"
    policy = WindowPolicy(side=32, mpp=1.0, min_px=16)

    def __init__(self) -> None:
        self.windows, self.asked = [], []

    def embed(self, image, window):
        assert image.shape == (*window.shape, 3)
        self.windows.append(window)
        return Embedding(window, self.fingerprint, {})

    def predict(self, embedding, prompts, *, several=False):
        self.asked.append(list(prompts))
        return [Answer(p, tuple(self.candidates(p))[: 2 if several else 1]) for p in prompts]

    def candidates(self, prompt):
        x0, y0, x1, y1 = prompt.extent()
        yield Candidate(np.full((4, 4), 5.0, np.float32), Region(x0, y0, x1 - x0, y1 - y0), 0.9)
        yield Candidate(np.full((4, 4), 5.0, np.float32), Region(x0, y0, (x1 - x0) / 2, (y1 - y0) / 2), 0.1)


class Truth(Boxes):
    """Knows the objects of a picture: answers with the one under the middle of the prompt."""

    def __init__(self, labels) -> None:
        super().__init__()
        self.labels = labels

    def candidates(self, prompt):
        x0, y0, x1, y1 = prompt.extent()
        label = self.labels[int((y0 + y1) / 2), int((x0 + x1) / 2)]
        inside = (self.labels == label) & (label > 0)
        height, width = inside.shape
        yield Candidate(np.where(inside, 8, -8).astype(np.float32), Region(0, 0, width, height), 1.0)


def squares(folder, *, mpp=1.0, ignore=None, side=10):
    """Two pictures, of two patients, with four squares each."""
    with DatasetWriter(folder, DatasetInfo(name=folder.name, licence="CC0-1.0")) as writer:
        for k in range(2):
            labels = np.zeros((64, 64), np.int32)
            for i, (row, column) in enumerate(itertools.product((8, 40), (8, 40)), start=1):
                labels[row : row + side, column : column + side] = i
            image = np.where(labels[..., None] > 0, 90, 230).astype(np.uint8).repeat(3, 2)
            writer.add(f"p{k}", image, labels, mpp=mpp, patient=f"patient-{k}", ignore=ignore)
    return folder


def test_an_exact_box_around_squares_is_the_truth(tmp_path):
    found = score_prompts(squares(tmp_path / "a"), Boxes(), conditions=Condition(prompts="box"))
    scores = found[0].answers.compute()
    assert [scores[key] for key in ("dice", "iou", "precision", "recall", "n_objects")] == [1, 1, 1, 1, 8]
    assert found.facts["groups"] == 2
    # pi / 4 of a square is in its ellipse: Dice 2 a / (1 + a), a little off on 10 x 10 pixels
    ellipse = found[0].rules["ellipse"].compute()
    assert ellipse["dice"] == pytest.approx(2 * (np.pi / 4) / (1 + np.pi / 4), abs=0.02)
    assert found[0].rules["otsu"].compute()["iou"] == 0  # the box shows one colour: no threshold


def test_moved_boxes_cost_what_geometry_says(tmp_path):
    """The answer is the box itself, so that its Dice is that of two boxes."""
    data = read_dataset(squares(tmp_path / "a"))
    patch = data.patch(0)
    condition = Condition(prompts="box", jitter="2um")
    for number, answered in answer_patch(patch, targets_of(patch, [1, 2, 3]), Boxes(), [condition], Asking(rules=True)):
        assert number == 0
        x0, y0, x1, y1 = answered.prompt.box
        truth = np.argwhere(patch.labels == answered.target.label)
        (t, le), (b, r) = truth.min(0), truth.max(0) + 1
        centres = [np.arange(64) + 0.5 for _ in "xy"]
        inside = ((centres[0] > x0) & (centres[0] < x1)).sum() * ((centres[1] > y0) & (centres[1] < y1)).sum()
        both = (
            ((centres[0] > max(x0, le)) & (centres[0] < min(x1, r))).sum()
            * ((centres[1] > max(y0, t)) & (centres[1] < min(y1, b))).sum()
        )  # fmt: skip
        assert answered.candidates[0].sum() == inside
        assert (answered.truth & answered.candidates[0]).sum() == both
        assert answered.truth.sum() == 100
        assert set(answered.rules) == {"ellipse", "otsu"}
        assert answered.rules["ellipse"].sum() <= inside


def test_conditions_are_paired_and_windows_are_embedded_once(tmp_path):
    data = read_dataset(squares(tmp_path / "a"))
    model = Boxes()
    widths = ("0um", "1um", "2um")
    score_prompts(data, model, conditions=[Condition(prompts="box", jitter=jitter) for jitter in widths])
    assert len(model.windows) == len(set(model.windows)) * 2  # the windows of two pictures, each once
    boxes = {}
    for prompts in model.asked:
        for prompt in prompts:
            boxes.setdefault(prompt.id, []).append(np.array(prompt.box))
    for some in boxes.values():
        tight, one, two = sorted(some, key=lambda box: np.abs(box - some[0]).sum())
        assert np.allclose(two - tight, 2 * (one - tight))


def test_a_model_sees_each_object_in_its_own_window_where_that_is_asked_for(tmp_path):
    data = squares(tmp_path / "a")
    model = Boxes()
    score_prompts(data, model, conditions=Condition(prompts="box"), shared_windows=False)
    assert len(model.windows) == 8
    assert all(len(prompts) == 1 for prompts in model.asked)


def test_candidates_rough_masks_and_answers_given_back(tmp_path):
    data = squares(tmp_path / "a")
    conditions = [
        Condition(prompts="box", several=True),
        Condition(prompts="mask:exact"),
        Condition(prompts="mask:exact", shift="3um"),
        Condition(prompts="box", recirculate=2),
    ]
    model = Boxes()
    found = score_prompts(data, model, conditions=conditions)
    scores = [one.answers.compute() for one in found.conditions]
    assert scores[0]["iou_oracle"] == scores[0]["iou"] == 1
    assert "dice_oracle" in found[0].keys
    assert scores[1]["dice_input"] == scores[1]["dice"] == 1
    assert 0.5 < scores[2]["dice_input"] < 0.85  # of squares of 10, moved by 3 in any direction
    assert "dice_input" in found[2].keys
    assert "dice_input" not in found[3].keys
    again = [prompt for prompts in model.asked for prompt in prompts if prompt.box is not None and prompt.mask]
    assert len(again) == 2 * 8


def test_every_mask_is_moved_by_the_same_length(tmp_path):
    patch = read_dataset(squares(tmp_path / "a")).patch(0)
    angles = []
    for target in targets_of(patch, [1, 2, 3, 4]):
        prompts = [
            prompt_for(target, Condition(prompts="mask:exact", shift=shift), 0.5, (64, 64), 0)
            for shift in ("0um", "1um", "2um", "4px", "102.4w")
        ]
        still, *moved = [np.array([p.mask.region.x, p.mask.region.y]) for p in prompts]
        assert [np.linalg.norm(one - still) for one in moved] == pytest.approx([2, 4, 4, 2])  # 102.4 / 1024 * 20 px
        assert (moved[1] - still) == pytest.approx(2 * (moved[0] - still))
        angles.append(np.arctan2(*(moved[0] - still)))
    assert len(set(np.round(angles, 6))) == 4


def test_usability_before_and_after_the_clean_up(tmp_path):
    labels = np.zeros((64, 64), np.int32)
    labels[10:40, 10:40] = 1
    labels[50, 50] = 1  # a speck that belongs to the object
    with DatasetWriter(tmp_path / "a", DatasetInfo(name="a", licence="CC0-1.0")) as writer:
        writer.add("p", np.full((64, 64, 3), 200, np.uint8), labels, mpp=1.0)
    found = score_prompts(
        tmp_path / "a", Truth(labels), shapes=True, rules=False,
        conditions=[Condition(prompts="box", clean=clean) for clean in ("none", "default")],
    )  # fmt: skip
    plain, cleaned = (one.usability() for one in found.conditions)
    assert set(plain) == {USABILITY, PUBLISHED_USABILITY}
    assert plain[USABILITY]["components"] == (2, 2)
    assert cleaned[USABILITY]["components"] == (2, 1)
    assert cleaned[USABILITY]["size_retention"][0] == 1.0  # of the answer as it came
    assert cleaned[USABILITY]["size_retention"][1] == pytest.approx(896 / 901)  # a disc does not reach into corners
    assert not found[0].rules


def test_ignored_pixels_do_not_count(tmp_path):
    ignore = np.zeros((64, 64), bool)
    ignore[:, 40:] = True  # two squares altogether
    ignore[8:13, 8:18] = True  # and half of another one
    found = score_prompts(squares(tmp_path / "a", ignore=ignore), Boxes(), conditions=Condition(prompts="box"))
    rows = found[0].answers.rows
    assert len(rows) == 4
    assert found[0].answers.compute()["dice"] == 1
    assert sorted(set(found[0].objects)) == ["p0/1", "p0/3", "p1/1", "p1/3"]


def test_the_choice_of_objects(tmp_path):
    data = read_dataset(squares(tmp_path / "a"))
    assert objects_to_score(data) == {"p0": [1, 2, 3, 4], "p1": [1, 2, 3, 4]}
    assert objects_to_score(data, every=3) == {"p0": [3], "p1": [2]}
    some = [objects_to_score(data, max_objects=3, seed=seed) for seed in (0, 0, 1, 2)]
    assert some[0] == some[1]
    assert len({str(one) for one in some}) > 1
    assert all(sum(map(len, one.values())) == 3 for one in some)
    for wrong in ({"every": 0}, {"every": 9}, {"max_objects": 0}):
        with pytest.raises(InputError, match="leaves no object"):
            objects_to_score(data, **wrong)
    with DatasetWriter(tmp_path / "none", DatasetInfo(name="none", licence="CC0-1.0")) as writer:
        writer.add("p", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.int32))
    with pytest.raises(DatasetError, match="No object is outlined"):
        objects_to_score(read_dataset(tmp_path / "none"))


def test_several_sets_are_pooled_and_stand_alone(tmp_path):
    write_discs(tmp_path / "discs")
    found = score_prompts([squares(tmp_path / "a"), tmp_path / "discs"], Boxes(), conditions=Condition(prompts="box"))
    by_set = found[0].answers.by_set()
    assert by_set["a"]["dice"] == 1 > by_set["discs"]["dice"] > 0.7
    pooled = found[0].answers.compute()
    total = sum(scores["dice"] * scores["n_objects"] for scores in by_set.values())
    assert pooled["dice"] == pytest.approx(total / pooled["n_objects"])
    told = found.as_json(resamples=10)
    assert told["conditions"][0]["scores"]["dice"]["value"] == pytest.approx(pooled["dice"])
    assert told["groups"] == 2 + 3


def test_masks_are_kept_in_little_memory(tmp_path):
    data = read_dataset(squares(tmp_path / "a"))
    found = score_prompts(data, Boxes(), conditions=Condition(prompts="box"))
    for name, packed in zip(found[0].objects, found[0].masks, strict=True):
        patch_id, _, label = name.rpartition("/")
        assert (packed.on((64, 64)) == (data.patch(patch_id).labels == int(label))).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompts": "3neg"}, "does not say where the object is"),
        ({"prompts": "bxo"}, "is no part of a prompt"),
        ({"prompts": "auto:nuclie"}, "Did you mean auto:nuclei|auto:nuclei"),
        ({"prompts": "box", "shift": "1um"}, "no mask that could be moved"),
        ({"prompts": "box", "jitter": "1 mile"}, "mile"),
        ({"prompts": "box", "clean": "defualt"}, "Did you mean default"),
        ({"prompts": "box", "user": "me"}, "no simulated user"),
        ({"prompts": "box", "recirculate": -1}, "-1 times"),
        ({"prompts": "mask:lasso", "user": "published"}, "lasso"),
    ],
)
def test_a_condition_that_makes_no_sense(fields, message):
    with pytest.raises(InputError, match=message):
        Condition(**fields)


def test_labels_of_conditions_differ_where_conditions_do():
    base = Condition(prompts="mask:loose")
    others = [
        {"jitter": "1um"}, {"shift": "1um"}, {"user": "published"}, {"clean": "um"}, {"recirculate": 1},
    ]  # fmt: skip
    assert len({base.label, *(dataclasses.replace(base, **one).label for one in others)}) == 6


def test_micrometres_need_a_resolution(tmp_path):
    data = squares(tmp_path / "a", mpp=None)
    with pytest.raises(UnknownMppError):
        score_prompts(data, Boxes(), conditions=Condition(prompts="box", jitter="1um"))
    found = score_prompts(data, Boxes(), conditions=Condition(prompts="box", jitter="1um"), mpp=1.0)
    assert found[0].answers.compute()["n_objects"] == 8
    with pytest.raises(InputError, match="how the model is asked"):
        score_prompts(data, Boxes(), conditions=[])


def test_automatic_mode_gives_each_object_what_fits_best(tmp_path):
    labels = read_dataset(squares(tmp_path / "a")).patch(0).labels
    model = Truth(np.where(labels == 4, 0, labels))  # never finds the fourth
    found = score_prompts(tmp_path / "a", model, conditions=Condition(prompts="auto:grid"))
    rows = found[0].answers.rows
    scores = dict(zip(found[0].objects, rows.answer[:, 1].tolist(), strict=True))
    assert [scores[f"p0/{k}"] for k in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert found[0].answers.compute()["n_empty_answers"] == 2
    assert not found[0].decode
