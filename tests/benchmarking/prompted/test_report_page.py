"""The report of promptable models: what it says, what it must never say, and what it survives."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import polars as pl
import pytest
from matplotlib.text import Text as Lettering
from PIL import Image

from fixtures import prompt_results as made
from histoseed.benchmarking.prompted.report import Experiment, write_prompt_report
from histoseed.benchmarking.prompted.report.contents import document_of
from histoseed.benchmarking.prompted.report.figures import curve_plots, loss_plot, score_plot
from histoseed.benchmarking.prompted.report.files import without_cases
from histoseed.benchmarking.prompted.report.labels import common_words, varying
from histoseed.benchmarking.prompted.report.published import published_table, published_tables
from histoseed.benchmarking.prompted.report.sheets import case_photos
from histoseed.benchmarking.prompted.report.sizes import empty_strata, size_table
from histoseed.benchmarking.prompted.report.tables import score_table, set_table
from histoseed.benchmarking.prompted.report.times import time_table
from histoseed.benchmarking.prompted.results import PromptResult, Score, Stratum
from histoseed.benchmarking.report.document import Note, Photo, Plot, Table, Text
from histoseed.errors import InputError, OutputError
from histoseed.pictures import Themed, panels


def in_place_of_pixels(patch):
    """Lets plots be texts in place of pixels; gives the texts of every plot that is drawn."""
    texts = []
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")

    def remember(figure):
        texts.append([text.get_text() for text in figure.findobj(Lettering) if text.get_text()])
        return Themed(stream.getvalue(), stream.getvalue())

    patch.setattr(panels, "to_both", remember)
    return texts


@pytest.fixture
def drawn(monkeypatch):
    return in_place_of_pixels(monkeypatch)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Experiments of every sort, and the folder of their page."""
    folder = tmp_path_factory.mktemp("report")
    given = made.experiments(folder)
    with pytest.MonkeyPatch.context() as patch:
        in_place_of_pixels(patch)
        write_prompt_report(given, results=folder, out=folder / "page", title="Our title")
    return given, folder / "page"


def experiment(*results, plan="prompt_combinations", **changes):
    return Experiment(**{"plan": plan, "title": plan, "results": results, "preset": "bundled"} | changes)


def random(*results, plan="prompt_combinations", **changes):
    several = [dataclasses.replace(one, model=made.RANDOM) for one in results]
    return experiment(*several, plan=plan, **{"preset": "smoke"} | changes)


def document(*experiments, folder=None):
    return document_of(experiments, folder, "it")


def section(page, title):
    (found,) = [one for one in page.sections if one.title == title]
    return found.blocks


def of_kind(blocks, kind):
    return [block for block in blocks if isinstance(block, kind)]


def test_everything_is_written(written):
    given, page = written
    text, markdown = (page / "index.html").read_text(), (page / "report.md").read_text()
    assert "<h1>Our title</h1>" in text
    assert markdown.startswith("# Our title\n")
    for title in ("Prompt combinations", "Sizes of the image encoder", "What this page cannot show"):
        assert f"## {title}\n" in markdown
        assert title in text
    pictures = re.findall(r"\]\(([^)]+)\)", markdown)
    assert {name.rsplit(".")[-1] for name in pictures} == {"png", "jpg"}
    for name in pictures:
        with Image.open(page / name) as image:
            image.load()
    table = pl.read_parquet(page / "results.parquet")
    assert table.equals(pl.read_csv(page / "results.csv", schema=table.schema), null_equal=True)
    assert len(table) == sum(len(one.results) for one in given)
    assert table["score_dice"].is_between(table["low_dice"], table["high_dice"]).all()


def test_the_json_gives_the_results_back(written):
    given, page = written
    report = json.loads((page / "report.json").read_text())
    for one, told in zip(given, report["experiments"], strict=True):
        assert [PromptResult.from_json(row) for row in told["results"]] == list(one.results)
        assert told["random_weights"] == one.random
    losses = next(one for one in report["experiments"] if one["plan"] == "losses")
    assert losses["published"][0]["scores"] == {"dice": 0.897, "iou": 0.824}


def test_a_page_replaces_only_a_page(tmp_path, drawn):
    given = [experiment(made.result())]
    out = tmp_path / "page"
    write_prompt_report(given, results=tmp_path, out=out)
    with pytest.raises(OutputError):
        write_prompt_report(given, results=tmp_path, out=out)
    write_prompt_report(given, results=tmp_path, out=out, overwrite=True)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.txt"):
        write_prompt_report(given, results=tmp_path, out=out, overwrite=True)
    assert (out / "mine.txt").is_file()


@pytest.mark.parametrize("plan", published_tables())
def test_every_published_number_is_on_the_page(plan, tmp_path):
    page = document(experiment(made.result(), plan=plan, title="it"), folder=tmp_path)
    cells = {cell for table in of_kind(section(page, "it"), Table) for row in table.rows for cell in row}
    words = " ".join(map(str, cells))
    for row in published_table(plan).rows:
        assert row.model in words
        for name, value in row.scores.items():
            for end in value if isinstance(value, list) else [value]:
                shown = {f"{end:g}", f"{end:.3f}", f"{end:,}", end}
                shown |= {f"{1000 * end:g} ms", f"{end:g} s"} if name in {"encode", "decode"} else set()
                assert shown & cells or any(str(text) in words for text in shown), (row, name)


def test_published_rows_stand_before_ours_of_the_same_condition():
    table = score_table(experiment(made.result(prompts="box"), made.result(prompts="1pos"), plan="prompt_combinations"))
    assert [(row[0], row[2]) for row in table.rows] == [
        ("box", "Rapid Cytomine"), ("box", "Rapid Cytomine"), ("box", "here"), ("box", "rule"), ("box", "rule"),
        ("1pos", "here"), ("box+1pos", "Rapid Cytomine"), ("box+1pos", "Rapid Cytomine"), ("20pos", "Deng 2023"),
        ("20pos", "Deng 2023"),
    ]  # fmt: skip
    assert table.rows[0][:4] == ["box", "SAM, zero-shot", "Rapid Cytomine", "0.798"]
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3},\s0\.\d{3}\]", table.rows[2][3])


def test_conditions_are_told_apart_however_they_are_written():
    table = score_table(experiment(made.result(prompts="1neg+box"), made.result(prompts="pos + box")))
    assert {row[0] for row in table.rows if row[2] == "here"} == {"box+1neg", "box+1pos"}
    for prompts in ("all", "box+5pos+5neg+mask:loose", "box+5pos+5neg+mask:published-loose"):
        tuned = made.result(dataclasses.replace(made.TUNED, prompts=prompts))
        rows = score_table(experiment(tuned, plan="training_prompts")).rows
        assert [row[2] for row in rows if row[0] == "all"][:3] == ["Rapid Cytomine", "Rapid Cytomine", "here"]
    mask = experiment(made.result(prompts="mask:scribble", shift="0um"), plan="mask_shift")
    assert [(row[:2], row[3]) for row in score_table(mask).rows] == [
        (["mask:scribble", "0"], "Rapid Cytomine"), (["mask:scribble", "0"], "here"),
    ]  # fmt: skip


def test_different_data_is_said(tmp_path):
    page = document(experiment(made.result(), plan="losses", title="Losses"), folder=tmp_path)
    words = " ".join(block.text for block in of_kind(section(page, "Losses"), Text))
    assert "AGDC10, NEO04 and Camelyon16" in words
    assert "here on gbm40 and monuseg16" in words
    assert "Different data" in words
    cited = section(page, "Sources of published figures")[0].values
    assert "University of Liège" in cited["Rapid Cytomine"]


def test_random_weights_are_never_left_unsaid(tmp_path, drawn):
    found = random(made.result(), made.result(prompts="1pos"))
    page = document(found, folder=tmp_path)
    for title in ("Summary", "prompt_combinations"):
        assert [note.kind for note in of_kind(section(page, title), Note) if "andom weights" in note.text] == [
            "warning"
        ]
    assert any("random weights (sam-vit-b)" in block.text for block in section(page, "What this page cannot show"))
    for plot in of_kind(section(page, "prompt_combinations"), Plot):
        plot.draw()
    assert drawn
    assert all(any("Random weights" in text for text in texts) for texts in drawn)
    assert "trained" not in {row[2] for row in of_kind(section(page, "Summary"), Table)[0].rows}
    rows = score_table(found).rows
    assert all("random weights" in row[1] for row in rows if row[2] == "here")


def test_trained_weights_are_not_called_random(tmp_path):
    page = document(experiment(made.result()), folder=tmp_path)
    assert not [note for one in page.sections for note in of_kind(one.blocks, Note) if note.kind == "warning"]


def test_random_weights_come_last_and_not_beside_published_ones_where_there_are_others(tmp_path):
    smoke, real = random(made.result(), title="A"), experiment(made.result(), title="A")
    page = document(
        experiment(title="C"), smoke, real, random(made.result(), plan="losses", title="B"), folder=tmp_path
    )
    assert [one.title for one in page.sections][1:5] == ["A (bundled)", "A (smoke)", "B", "C"]
    tables = {one.title: of_kind(one.blocks, Table)[0] for one in page.sections[1:4]}
    sources = {title: {row[2] for row in table.rows} for title, table in tables.items()}
    assert sources["A (smoke)"] <= {"here", "rule"}
    assert "Rapid Cytomine" in sources["A (bundled)"] & sources["B"]


def test_sizes_without_objects_are_named(tmp_path):
    found = experiment(made.result())
    assert empty_strata(found) == ["10 to 20", "200 to 20,000"]
    assert list(size_table(found, "dice").header) == ["result", "20 to 50 (410)", "50 to 100 (820)", "100 to 200 (60)"]
    words = " ".join(block.text for block in of_kind(section(document(found, folder=tmp_path), found.title), Text))
    assert "10 to 20 and 200 to 20,000 pixels long: nothing here speaks of these sizes" in words
    last = Stratum(low=20_000.0, high=None, objects=3, scores={"dice": Score(0.5)})
    beyond = dataclasses.replace(made.result(), by_size=(last,))
    assert list(size_table(experiment(beyond), "dice").header) == ["result", "above 20,000 (3)"]
    assert empty_strata(experiment(beyond)) == []
    assert size_table(experiment(dataclasses.replace(made.result(), by_size=())), "dice") is None


def test_sets_are_shown_where_there_are_several():
    table = set_table(experiment(made.result()), "dice")
    assert list(table.header) == ["result", "gbm40 (290)", "monuseg16 (1,000)", "all objects"]
    one = made.result()
    single = dataclasses.replace(one, by_set={"gbm40": one.by_set["gbm40"]})
    assert set_table(experiment(single), "dice") is None


def test_a_rule_that_saw_the_same_prompts_stands_there_once():
    cleaned = [made.result(clean=clean) for clean in ("none", "default", "published")]
    rules = [row for row in score_table(experiment(*cleaned, plan="post_processing")).rows if row[3] == "rule"]
    assert [row[2] for row in rules] == ["ellipse in the box", "Otsu threshold in the box"]


def test_shape_before_and_after(tmp_path):
    results = [made.result(clean=clean, usability=made.shape(1.0)) for clean in ("published", "default")]
    page = document(experiment(*results, plan="post_processing", title="it"), folder=tmp_path)
    published, ours = [table for table in of_kind(section(page, "it"), Table) if table.caption.startswith("Shape")]
    assert published.rows[0][0] == "SAM 2, fine-tuned, clean-up published, Rapid Cytomine"
    assert [cell.split() for cell in published.rows[0][1:]] == [
        ["0.323", "→", "0.545"], ["0.496", "→", "0.887"], ["0.795", "→", "1.187"], ["7.196", "→", "1.018"],
    ]  # fmt: skip
    assert "histoseed" in ours.caption
    assert ours.rows[0][0] == "clean-up published"
    assert ours.rows[0][-1].split()[1:] == ["→", "18.00"]


def test_times_of_one_model_are_one_row():
    results = [made.result(prompts=prompts) for prompts in ("box", "1pos", "box+1pos")]
    slow = dataclasses.replace(results[0].timing, decode=0.5, encode=None)
    table = time_table(experiment(dataclasses.replace(results[0], timing=slow), *results[1:]))
    assert table.rows == [["bundled", "here", "41 ms", "7.1 ms", "512 px", "3.2", "cpu, 1 thread"]]
    assert time_table(experiment(dataclasses.replace(made.result(), timing=None))) is None
    again = dataclasses.replace(made.result(recirculate=2), timing=slow)
    assert time_table(experiment(*results, again)).rows == table.rows
    sizes = time_table(experiment(plan="encoder_sizes"))
    assert ["SAM ViT-H, processor", "micro-sam", "5.07 s", None, None, None, None] in sizes.rows


def test_curves_need_two_numbers_and_a_unit_each(drawn):
    moved = [made.result(prompts="mask:loose", shift=shift) for shift in ("0px", "1um", "2um", "20w")]
    (plot,) = curve_plots(experiment(*moved, plan="mask_shift"), "dice")
    plot.draw()
    assert {"move of the rough mask (µm)", "move of the rough mask (pixels of a window of 1024)"} <= set(drawn[0])
    assert not any("level-0" in text for text in drawn[0])
    assert list(curve_plots(experiment(made.result(), made.result(prompts="1pos")), "dice")) == []
    tuned = [
        made.result(dataclasses.replace(made.TUNED, training={"patches": n}), train_sets=("a",)) for n in (1, 4, "all")
    ]
    (plot,) = curve_plots(experiment(*tuned, plan="patches"), "dice")
    assert plot.name == "patches-bundled-by-patches"


def test_simple_rules_have_curves_too(drawn):
    jittered = [made.result(jitter=jitter) for jitter in ("0px", "1um", "2um")]
    (plot,) = curve_plots(experiment(*jittered), "dice")
    plot.draw()
    assert {"bundled", "ellipse in the box", "Otsu threshold in the box"} <= set(drawn[0])


def test_losses_of_a_training_are_shown_once(drawn):
    tuned = [made.result(made.TUNED, prompts, history=made.LOSSES) for prompts in ("box", "1pos")]
    loss_plot(experiment(*tuned)).draw()
    assert drawn[0].count("loss") == 1
    assert {"training part", "validation part", "epochs"} <= set(drawn[0])
    assert loss_plot(experiment(made.result())) is None
    assert loss_plot(experiment(made.result(history=made.LOSSES[:1]))) is None


def test_published_numbers_are_open_diamonds_in_the_chart(drawn):
    plot = score_plot(experiment(made.result()), "dice")
    plot.draw()
    assert "box: SAM, zero-shot (Rapid Cytomine)" in " ".join(drawn[0]).replace("\n", " ")
    assert "Open diamonds are published figures, on other data." in plot.caption
    assert score_plot(experiment(), "dice") is None  # nothing of ours to hold them against
    alone = score_plot(experiment(made.result(), made.result(prompts="1pos"), plan="unknown"), "dice")
    assert "diamonds" not in alone.caption


def test_cases_of_the_best_and_the_worst_result(tmp_path):
    results = [made.result(prompts=prompts) for prompts in ("box", "1pos", "3pos")]
    results = [made.with_cases(one, tmp_path, str(i)) for i, one in enumerate(results)]
    ranked = sorted(results, key=lambda one: one.scores["dice"].value)
    sheets = list(case_photos(experiment(*results), "dice", tmp_path))
    assert sheets[0].caption.startswith(f"{ranked[-1].condition.prompts}, the highest score")
    assert sheets[1].caption.startswith(f"{ranked[0].condition.prompts}, the lowest score")
    assert len(sheets) == 2
    with Image.open(io.BytesIO(sheets[0].draw())) as image:
        assert image.format == "JPEG"
        assert image.width > 1000
    assert len(list(case_photos(random(*results), "dice", tmp_path))) == 1


def test_cases_whose_pictures_are_gone_or_damaged(tmp_path):
    one = made.with_cases(made.result(), tmp_path)
    (sheet,) = case_photos(experiment(one), "dice", tmp_path)
    (tmp_path / one.cases[0].picture).write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        sheet.draw()
    for case in one.cases:
        (tmp_path / case.picture).unlink()
    assert list(case_photos(experiment(one), "dice", tmp_path)) == []


def test_a_page_without_cases_holds_no_picture_of_data(tmp_path):
    found = experiment(made.with_cases(made.result(), tmp_path))
    assert list(case_photos(found, "dice", tmp_path))
    bare = without_cases(found)
    assert list(case_photos(bare, "dice", tmp_path)) == []
    assert bare.results[0].scores == found.results[0].scores


def test_what_trained_models_share_is_said_once_though_one_was_not_trained(tmp_path):
    plain = made.result()
    trained = [
        dataclasses.replace(
            plain,
            model=dataclasses.replace(plain.model, method="frozen", loss="bce", training={"patches": n, "batch": 8}),
        )
        for n in (1, 2)
    ]
    assert varying([plain, *trained]) == ["method", "training.patches"]
    assert "loss bce" in common_words([plain, *trained])


def test_failed_and_missing_runs_are_listed(tmp_path):
    found = experiment(
        made.result(), failed=[{"what": "sam-vit-h", "error": "ModelError: too large"}],
        missing=[{"what": f"arm {i}", "why": "The data set chu is not here."} for i in range(6)],
    )  # fmt: skip
    failed, missing = of_kind(section(document(found, folder=tmp_path), "Failed and missing runs"), Table)
    assert failed.rows == [[found.title, "sam-vit-h", 1, "ModelError: too large"]]
    assert missing.rows == [[found.title, "arm 0; arm 1; arm 2; arm 3; and 2 more", 6, "The data set chu is not here."]]


def test_nothing_was_run_yet(tmp_path, drawn):
    page = document(experiment(title="it"), folder=tmp_path)
    assert score_table(experiment()).rows
    assert "not run here" in " ".join(block.text for block in of_kind(section(page, "it"), Text))
    assert section(page, "What this page cannot show")[0].text == "There is no result yet."
    write_prompt_report([experiment(plan="unknown")], results=tmp_path, out=tmp_path / "page")


def test_what_is_common_is_said_once():
    words = common_words([made.result(jitter="1um"), made.result(prompts="1pos", jitter="1um")])
    assert words == "The same in all results here: model bundled; jitter 1um; scored on gbm40, monuseg16."


def test_markup_in_names_is_text(tmp_path, drawn):
    found = experiment(made.result(), title="<script>alert(1)</script> | *bold*")
    page = write_prompt_report([found], results=tmp_path, out=tmp_path / "page")
    assert "<script>alert" not in page.read_text()
    assert "\\<script\\>" in (page.parent / "report.md").read_text()


def test_photos_stand_on_the_page(tmp_path, drawn):
    one = made.with_cases(made.result(), tmp_path)
    page = write_prompt_report([experiment(one)], results=tmp_path, out=tmp_path / "page")
    assert "data:image/jpeg;base64," in page.read_text()
    blocks = section(document(experiment(one, title="it"), folder=tmp_path), "it")
    (photo,) = of_kind(blocks, Photo)
    assert "random, median and worst cases" in photo.caption
