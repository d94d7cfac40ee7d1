"""The second look gets logits, keeps prompts and order, and leaves empty answers alone."""

from __future__ import annotations

import numpy as np

from histoseed.geometry import Region
from histoseed.prompting import Answer, Candidate, Embedding, MaskPrompt, Prompt, PromptableModel, Window
from histoseed.prompting.recirculation import recirculated
from histoseed.prompting.windows import WindowPolicy

REGION = Region(10, 20, 8, 8)


class Halving:
    """Answers with the mask prompt's logits halved, or with its box number where there is no mask."""

    name, fingerprint, policy = "halving", "0" * 64, WindowPolicy()

    def __init__(self):
        self.asked = []

    def embed(self, image, window):
        return Embedding(window, self.fingerprint, {})

    def predict(self, embedding, prompts, *, several=False):
        self.asked.append((list(prompts), several))
        answers = []
        for prompt in prompts:
            logits = np.full((4, 4), -3, np.float32) if prompt.mask is None else prompt.mask.logits / 2
            if prompt.mask is None and prompt.id != "empty":
                logits[1:3, 1:3] = float(prompt.id)
            answers.append(Answer(prompt, (Candidate(logits, REGION, 0.5),) * (3 if several else 1)))
        return answers


def setting(ids, *, several=False):
    model = Halving()
    assert isinstance(model, PromptableModel)
    embedding = model.embed(np.zeros((8, 8, 3), np.uint8), Window(REGION, (8, 8)))
    prompts = [Prompt(box=(11, 21, 17, 27), id=name) for name in ids]
    return model, embedding, model.predict(embedding, prompts, several=several)


def test_logits_go_back_in_not_zeros_and_ones():
    """Specification 9.3."""
    model, embedding, first = setting(["4", "6"])
    second = recirculated(model, embedding, first)
    asked, several = model.asked[-1]
    assert not several
    for prompt, answer in zip(asked, first, strict=True):
        assert prompt.mask.logits is answer.candidates[0].logits
        assert prompt.mask.logits.min() == -3
        assert prompt.mask.region == REGION
        assert prompt.box == answer.prompt.box
    assert [answer.candidates[0].logits.max() for answer in second] == [2, 3]
    assert [answer.prompt for answer in second] == [answer.prompt for answer in first]


def test_empty_answers_are_not_asked_again_and_keep_their_place():
    model, embedding, first = setting(["empty", "4", "empty"])
    first[2] = Answer(first[2].prompt, ())
    second = recirculated(model, embedding, first)
    assert [prompt.id for prompt in model.asked[-1][0]] == ["4"]
    assert second[0] is first[0]
    assert second[2] is first[2]
    assert second[1].candidates[0].logits.max() == 2


def test_nothing_to_ask_asks_nothing():
    model, embedding, first = setting(["empty"])
    assert recirculated(model, embedding, first) == first
    assert recirculated(model, embedding, []) == []
    assert len(model.asked) == 1


def test_all_candidates_come_back_where_several_were_asked_for():
    model, embedding, first = setting(["4"], several=True)
    assert len(recirculated(model, embedding, first)[0].candidates) == 3
    assert model.asked[-1][1]


def test_a_second_pass_takes_the_latest_logits_and_an_own_mask_gives_way():
    model, embedding, first = setting(["4"])
    given = Prompt(mask=MaskPrompt(np.full((2, 2), 9, np.float32), REGION), id="4")
    first = [Answer(given, first[0].candidates)]
    twice = recirculated(model, embedding, recirculated(model, embedding, first))
    assert twice[0].candidates[0].logits.max() == 1
    assert twice[0].prompt is given
