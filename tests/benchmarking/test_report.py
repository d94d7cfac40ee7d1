"""The report of a benchmark: what it says, what it must never say, and what it survives."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from fixtures import benchmark_rows as made
from histoseed.benchmarking.report import write_report
from histoseed.benchmarking.report.arms import Names, arm_of
from histoseed.benchmarking.report.contents import document_of
from histoseed.benchmarking.report.document import Plot, Strong, Table, Text
from histoseed.benchmarking.report.exposure import verdict_of
from histoseed.benchmarking.report.findings import findings_of
from histoseed.benchmarking.report.limits import limit_sentences
from histoseed.benchmarking.report.results import Results
from histoseed.errors import InputError, OutputError
from histoseed.pictures import Themed, panels
from histoseed.pictures.sorting import SORTING, SORTING_SOURCE

FEW = (1, 4, "all")


@pytest.fixture(scope="module")
def whole():
    """Twelve arms, three data sets, N of 0 to all, three draws, two seeds."""
    return made.rows(budgets=(0, *FEW))


@pytest.fixture
def pictures(monkeypatch):
    """The texts of every plot that is drawn, in place of its pixels."""
    drawn = []

    def remember(figure):
        from matplotlib.text import Text as Lettering

        drawn.append([text.get_text() for text in figure.findobj(Lettering) if text.get_text()])
        return Themed(blank_png(), blank_png())

    monkeypatch.setattr(panels, "to_both", remember)
    return drawn


def blank_png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def findings(rows, **changes):
    return findings_of(rows, **{"failed": (), "missing": (), "plan": made.PLAN} | changes)


def report(rows, folder, **changes):
    return write_report(rows, plan=changes.pop("plan", made.PLAN), out=folder, **changes)


def tables(document):
    return [block for section in document.sections for block in section.blocks if isinstance(block, Table)]


def titles(document):
    return [section.title for section in document.sections if section.blocks]


def words(document):
    return " ".join(b.text for s in document.sections for b in s.blocks if isinstance(b, Text))


def few_rows(arms=2, datasets=1, budgets=(4,), draws=2, seeds=1):
    return made.rows(made.ARMS[:arms], made.DATASETS[1 : 1 + datasets], budgets, draws, seeds)


# What it writes


def test_everything_is_written_and_agrees(whole, tmp_path):
    page = report(whole, tmp_path / "out", failed=made.failed(), missing=made.missing())
    folder = tmp_path / "out"
    assert page == folder / "index.html"
    plots = {"ranking.png", "critical-difference.png", "curves-1.png", "cost.png"}
    others = {"index.html", "report.md", "results.csv", "results.parquet", "report.json"}
    assert {path.name for path in folder.iterdir()} == plots | others
    markdown = (folder / "report.md").read_text("utf-8")
    assert set(re.findall(r"!\[[^\]]*\]\(([^)]+)\)", markdown)) == plots
    for name in plots:
        with Image.open(folder / name) as picture:
            assert picture.width > 500
    table, parquet = (
        pl.read_csv(folder / "results.csv", infer_schema_length=None),
        pl.read_parquet(folder / "results.parquet"),
    )
    assert table.height == parquet.height == len(whole)
    assert table.columns == parquet.columns
    assert parquet["score_pq"].to_list() == [row["scores"]["pq"] for row in whole]
    assert table["budget_asked"].cast(str).unique().sort().to_list() == ["0", "1", "4", "all"]
    assert json.loads(parquet["groups_json"][0]) == whole[0]["groups"]
    said = json.loads((folder / "report.json").read_text("utf-8"))
    assert said["random_weights"] is False
    best = said["ranking"]["arms"][0]
    assert best["arm"] == "uni2-h · cellvit · lora"
    html = page.read_text("utf-8")
    assert f"{best['value']:.3f} [{best['low']:.3f}," in html
    assert f"{best['value']:.3f} \\[{best['low']:.3f}," in markdown


def test_the_page_loads_nothing_and_runs_one_known_script(whole, tmp_path, pictures):
    html = report(whole, tmp_path / "out").read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)[1]
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {SORTING_SOURCE}"
    assert re.findall(r"<script>(.*?)</script>", html, re.DOTALL) == [SORTING]
    assert html.count("<script") == 1
    bare = re.sub(r"base64,[A-Za-z0-9+/=]*", "", html)
    assert "://" not in bare
    assert not re.search(r"<(link|iframe|object|embed|form)\b|\son\w+=", bare)


EVIL = '<script>alert("x")</script> | [a](b) `c`'


def test_names_are_text_everywhere(tmp_path, pictures):
    rows = few_rows(arms=2)
    for row in rows:
        row["encoder"] += EVIL
        row["dataset"] += EVIL
        row["seen_why"] = row["trained"] = EVIL
        row["classes"] = {EVIL: {"pq": 0.5, "f1_detection": None, "instances": 1}}
    arm = {"encoder": EVIL, "decoder": EVIL, "method": EVIL}
    failed = [{"arm": arm, "dataset": EVIL, "budget": {"unit": "patches", "asked": 1}, "error": EVIL}]
    plan = {"name": EVIL, "title": EVIL, "description": EVIL, "protocol": {"score": "pq", "draws": 2, EVIL: EVIL}}
    html = report(rows, tmp_path / "out", failed=failed, plan=plan).read_text("utf-8")
    assert html.count("<script") == 1
    assert "&lt;script&gt;alert(" in html
    markdown = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert not re.search(r"(?<!\\)<script", markdown)
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines if "alert" in line and "0.5" in line}) == 1


def test_an_earlier_report_is_replaced_and_nothing_else(tmp_path, pictures):
    rows = few_rows()
    folder = tmp_path / "out"
    report(rows, folder)
    with pytest.raises(OutputError, match="not empty"):
        report(rows, folder)
    report(rows, folder, overwrite=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        report(rows, folder, overwrite=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "report.json").write_text('{"kind": "something else"}')
    with pytest.raises(OutputError, match="no report"):
        report(rows, other, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_the_same_results_give_the_same_report_in_any_order(whole, tmp_path, pictures):
    one, two = findings(whole), findings(whole[::-1])
    assert one.arms == two.arms
    assert one.estimates == two.estimates
    assert repr(one.ranking) == repr(two.ranking)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, "version 0"),
        ({"version": None}, "version None"),
        ({"scores": None}, "lacks scores"),
        ({"scores": [1]}, "mapping of scores"),
        ({"dataset": None}, "lacks dataset"),
        ({"budget": {"unit": "patches", "asked": -1}}, "no budget"),
        ({"budget": {"unit": "patches", "asked": "some"}}, "no budget"),
    ],
)
def test_results_that_cannot_be_read_are_refused_before_anything_is_written(change, message, tmp_path):
    rows = few_rows()
    rows[1] |= change
    with pytest.raises(InputError, match=message):
        report(rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# What it says


def test_scores_are_means_over_draws_of_means_over_seeds():
    rows = few_rows(arms=1, draws=2, seeds=2)
    for row, score in zip(rows, (0.1, 0.3, 0.6, 0.8), strict=True):
        row["scores"] = {"pq": score}
    rows.append({**rows[-1], "seed": 7, "scores": {"pq": 1.0}})
    (got,) = findings(rows).estimates.values()
    assert got.value == pytest.approx((0.2 + 0.8) / 2)


def test_the_ranking_is_the_order_that_was_put_in(whole):
    found = findings(whole)
    order = [(arm["encoder"], arm["decoder"], arm["method"]) for arm in found.ranking.arms]
    assert order[0] == ("uni2-h", "cellvit", "lora")
    assert order[-1] == ("resnet50", "skip", "frozen")
    values = [found.ranking.overall[arm].value for arm in found.ranking.arms]
    assert values == sorted(values, reverse=True)
    assert found.ranking.family == 66
    assert {block for block, _ in found.ranking.blocks} == {"pannuke", "cryonuseg", "gbm40"}
    assert len(found.ranking.blocks) == 24 + 10 + 8
    assert all(budget.asked != 0 for _, budget in found.ranking.cells)
    last = next(p for p in found.ranking.pairs if (p.first, p.second) == (found.arms[0], found.arms[-1]))
    assert last.corrected < 0.05
    assert last.difference.low > 0
    assert last.draws == (7, 7) or last.draws[0] == last.draws[1]


def test_overall_is_the_mean_over_data_sets_of_the_mean_over_budgets():
    rows = made.rows(made.ARMS[:2], made.DATASETS[:2], (1, 4), 1, 1)
    for row in rows:
        if row["dataset"] == "pannuke" and row["method"] == "frozen":
            row["scores"] = {"pq": {1: 0.2, 4: 0.4}[row["budget"]["asked"]]}
        elif row["method"] == "frozen":
            row["scores"] = {"pq": 0.6}
    found = findings(rows)
    frozen = next(arm for arm in found.arms if arm["method"] == "frozen")
    assert found.ranking.overall[frozen].value == pytest.approx((0.3 + 0.6) / 2)


def test_paired_tests_see_what_all_arms_share():
    """A difference that is the same for every patient is found, though patients differ far more."""
    rows = few_rows(arms=2, draws=2)
    shift = {"frozen": 0.0, "full": 0.02}
    for row in rows:
        values = {g: 0.1 + 0.08 * i + shift[row["method"]] for i, g in enumerate(sorted(row["groups"]))}
        row["groups"] = {g: {"pq": value} for g, value in values.items()}
        row["scores"] = {"pq": float(np.mean(list(values.values())))}
    found = findings(rows)
    (pair,) = found.ranking.pairs
    assert pair.p == pytest.approx(2 / 2**10)
    assert pair.difference.value == pytest.approx(0.02)
    low, high = (found.ranking.overall[pair.first][i] for i in (1, 2))
    assert high - low > 0.2


def test_a_cell_that_few_arms_lack_is_left_out_of_the_ranking(whole):
    gone = ("resnet50", "gbm40", 4)
    found = findings([r for r in whole if (r["encoder"], r["dataset"], r["budget"]["asked"]) != gone])
    assert len(found.ranking.arms) == 12
    assert len(found.ranking.cells) == 8
    assert "not every ranked arm has it: gbm40 N = 4." in " ".join(limit_sentences(found))


def test_arms_that_lack_much_are_named_and_not_ranked(whole):
    found = findings([r for r in whole if (r["encoder"], r["dataset"]) != ("resnet50", "gbm40")])
    assert {arm["encoder"] for arm, _ in found.ranking.left_out} == {"resnet50"}
    assert len(found.ranking.arms) == 9
    said = " ".join(limit_sentences(found))
    assert "Not ranked" in said
    assert "no score on gbm40 at N = 1" in said
    assert set(found.arms[9:]) == {arm for arm, _ in found.ranking.left_out}


def test_one_arm_with_few_budgets_does_not_shrink_the_ranking(whole):
    kept = [row for row in whole if row["encoder"] != "virchow2" or row["budget"]["asked"] == "all"]
    found = findings(kept)
    assert {arm["encoder"] for arm in found.ranking.arms} == {"bundled", "uni2-h", "resnet50"}
    assert len(found.ranking.cells) == 9


def test_names_say_what_differs_and_the_page_what_does_not():
    rows = few_rows(arms=2)
    names = Names([arm_of(row) for row in rows])
    assert sorted(names[arm] for arm in names.arms) == ["bundled · frozen", "bundled · full"]
    assert "decoder skip" in names.in_common()
    more = [arm_of(rows[0] | change) for change in ({}, {"source": "pannuke"}, {"options": {"decoder.shared": True}})]
    other = {"steps": 50, "stain": "macenko", "selection": "diverse"}
    names = Names([*more, arm_of(rows[0] | other)], [arm_of({"encoder": "lost", "options": {"a": 1}})])
    shown = [names[arm] for arm in names.arms]
    assert shown[:3] == ["bundled", "bundled · source pannuke", "bundled · decoder.shared=true"]
    assert shown[3] == "bundled · diverse selection · stain macenko"
    assert shown[4].startswith("lost")
    assert names.untold == ("steps",)


def test_weights_stand_in_a_name_where_an_encoder_has_several():
    row = few_rows()[0]
    rows = [row, row | {"encoder": "m", "weights": "hub"}, row | {"encoder": "m", "weights": "file"}]
    names = Names([arm_of(one) for one in [*rows, row | {"encoder": "m", "weights": "random"}]])
    expected = ["bundled", "m (weights: hub)", "m (weights: file)", "m (random weights)"]
    assert [names[arm] for arm in names.arms] == expected


def test_settings_that_names_do_not_say_stand_in_a_table():
    rows = few_rows(arms=2)
    for row in rows:
        row["learning_rate"] = 0.001 if row["method"] == "full" else None
    table = next(t for t in tables(document_of(findings(rows))) if t.caption.startswith("Settings"))
    assert table.header == ["arm", "learning rate"]
    assert sorted(table.rows) == [["bundled · frozen", None], ["bundled · full", "0.001"]]


def test_failed_and_missing_runs_stand_with_their_reasons(whole):
    document = document_of(findings(whole, failed=made.failed(), missing=made.missing()))
    by_caption = {table.caption: table for table in tables(document)}
    failed = by_caption["Failed runs"]
    assert [row[3] for row in failed.rows] == [2, 1]
    assert failed.rows[0][0] == "uni2-h · cellvit · lora"
    assert "24 GB" in failed.rows[0][4]
    missing = by_caption["Missing runs"]
    assert missing.rows[0][:3] == ["prov-gigapath · skip · frozen", "pannuke", 36]


def test_leakage_and_licences_stand_beside_the_scores(whole):
    document = document_of(findings(whole))
    ranking = next(table for table in tables(document) if "seen in pre-training" in table.header)
    rows = {str(row[0]): row for row in ranking.rows}
    assert rows["bundled · skip · full"][4:] == ["yes: gbm40; not listed: cryonuseg, pannuke", "Apache-2.0", "yes"]
    assert rows["virchow2 · skip · lora"][4:] == ["not listed", "CC-BY-NC-ND-4.0", "no"]
    why = next(table for table in tables(document) if table.header == ["encoder", "data sets", "seen", "why"])
    assert why.rows[0] == ["bundled", "gbm40", "yes", "The bundled model was trained on gbm40."]


def test_what_was_perhaps_seen_is_named_alike_everywhere(tmp_path, pictures):
    rows = few_rows(arms=2)
    for row in rows:
        row |= {"seen": "perhaps", "seen_related": ["nucls_cc0_sample"]}
    page = report(rows, tmp_path / "out")
    for text in (page.read_text("utf-8"), (page.with_name("report.md")).read_text("utf-8").replace("\\", "")):
        assert "perhaps (nucls_cc0_sample)" in text
        assert "Only names are compared" in text
    table = pl.read_csv(tmp_path / "out" / "results.csv", infer_schema_length=None)
    assert set(table["seen"]) == {"perhaps"}
    assert set(table["seen_related"]) == {"nucls_cc0_sample"}


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({"seen": "no", "seen_why": "'a' was trained on b; names of data sets were compared."}, "not listed"),
        ({"seen": "no", "seen_why": "The encoder started from random weights."}, "no"),
        ({"seen": "no", "seen_why": "'a' was trained on other groups.", "seen_related": []}, "no"),
        ({"seen": "yes"}, "yes"),
        ({"seen": "who knows"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_an_earlier_no_is_no_more_than_not_listed(row, verdict):
    assert verdict_of(row) == verdict


def test_variance_components_are_those_of_the_formula():
    rows = made.rows(made.ARMS, made.DATASETS[1:2], (1, "all"), 6, 3)
    found = findings(rows)
    one, all_of_them = (found.components(budget=budget) for budget in found.results.budgets)
    # The formula draws with 0.03 for one patch, seeds with 0.008, and every score of ten groups with 0.015.
    assert np.sqrt(one.seed) == pytest.approx(np.hypot(0.008, 0.015 / np.sqrt(10)), rel=0.25)
    assert 0.01 < np.sqrt(one.draw) < 0.06
    assert all_of_them.draw is None
    assert all_of_them.seeds == 12 * 2


def test_class_tables_are_means_at_the_largest_budget(whole):
    found = findings(whole)
    table = next(t for t in tables(document_of(found)) if t.caption.startswith("pannuke: PQ of each class, all"))
    chosen = [r for r in whole if r["dataset"] == "pannuke" and r["budget"]["asked"] == "all"]
    chosen = [r for r in chosen if (r["encoder"], r["method"]) == ("bundled", "full")]
    row = next(row for row in table.rows if row[0] == "bundled · skip · full")
    assert row[1] == pytest.approx(np.mean([r["classes"]["neoplastic"]["pq"] for r in chosen]))
    assert table.header[1] == "neoplastic (900)"


# Random weights


def test_random_weights_are_in_the_title_and_in_every_plot_and_nothing_is_ranked(tmp_path, pictures):
    rows = made.rows(made.random_arms(), budgets=(0, *FEW))
    page = report(rows, tmp_path / "out", missing=made.missing()).read_text("utf-8")
    folder = tmp_path / "out"
    assert pictures
    for texts in pictures:
        assert any("random weights" in text.lower() for text in texts)
    for pattern in (r"<title>(.*?)</title>", r"<h1>(.*?)</h1>"):
        assert "random weights" in re.search(pattern, page)[1]
    assert "random weights" in (folder / "report.md").read_text("utf-8").splitlines()[0]
    assert {path.name for path in folder.glob("*.png")} == {"curves-1.png", "cost.png"}
    for text in re.findall(r"<figcaption>(.*?)</figcaption>", page):
        assert "Random weights" in text
    main = page.split("<main")[1].split("</main>")[0]
    assert "critical-difference" not in main
    assert not re.search(r"<h2[^>]*>(Ranking|Paired tests|Critical difference)", main)
    assert not re.search(r"<t[dh][^>]*><strong>", main)
    assert "<script" not in page
    assert "sortable" not in main
    assert json.loads((folder / "report.json").read_text("utf-8"))["ranking"] is None


def test_arms_with_random_weights_stand_in_alphabetical_order():
    found = findings(made.rows(made.random_arms(), budgets=FEW))
    names = [found.names[arm] for arm in found.arms]
    assert names == sorted(names, key=str.casefold)
    assert names[0].startswith("bundled")
    for table in tables(document_of(found)):
        shown = [row[0] for row in table.rows if row[0] in names]
        assert shown == sorted(shown, key=str.casefold)
        assert not [cell for row in table.rows for cell in row if isinstance(cell, Strong)]
    assert [name for name in names if "random weights" in name] == names[2:]


def test_one_random_run_among_many_is_enough(whole):
    rows = copy.deepcopy(whole)
    rows[-1]["random_weights"] = True
    found = findings(rows)
    assert found.ranking is None
    assert "random weights" in document_of(found).title


def test_random_weights_are_recognised_by_their_name_too():
    rows = few_rows()
    rows[0]["weights"] = "random"
    assert findings(rows).random


# What it survives


def test_no_result_at_all(tmp_path):
    page = report([], tmp_path / "out", failed=made.failed(), missing=made.missing()).read_text("utf-8")
    assert "There is no result yet" in page
    assert "24 GB" in page
    assert pl.read_parquet(tmp_path / "out" / "results.parquet").height == 0


def test_one_run(tmp_path, pictures):
    page = report(few_rows(arms=1, draws=1), tmp_path / "out").read_text("utf-8")
    assert "1 arm on 1 data set, 1 run." in page
    assert ">Result<" in page
    assert ">Ranking<" not in page
    assert "single draw" in page
    assert not pictures


def test_two_arms_have_a_test_and_no_critical_difference():
    found = findings(few_rows(arms=2))
    document = document_of(found)
    assert "Paired tests" in titles(document)
    assert "Critical difference" not in titles(document)
    assert "fewer than three arms" in words(document)


def test_too_few_groups_for_any_test_are_said_with_the_smallest_p():
    rows = few_rows(arms=4)
    for row in rows:
        row["groups"] = dict(sorted(row["groups"].items())[:3])
    said = " ".join(limit_sentences(findings(rows)))
    # Three blocks give 0.25 at best; six pairs make 1.
    assert "with 3 blocks and 6 pairs the smallest possible p after Holm is 1" in said
    assert "With 2 draws of annotations a test over draws alone could not give a p below 0.5" in said


def test_without_scores_of_test_groups_draws_are_what_is_repeated():
    rows = few_rows(arms=3, draws=5)
    for row in rows:
        row["groups"] = {}
    found = findings(rows)
    assert set(found.ranking.block_units.values()) == {"draw"}
    assert len(found.ranking.blocks) == 5
    assert "not kept for single test groups" in " ".join(limit_sentences(found))
    assert all(np.isfinite(e.low) for e in found.estimates.values())


def test_one_draw_with_several_seeds_resamples_seeds():
    rows = few_rows(arms=2, draws=1, seeds=4)
    found = findings(rows)
    assert {repeats.unit for repeats in found.repeats.values()} == {"seed"}
    assert found.components().seed is not None
    assert found.components().draw is None


def test_data_sets_of_points_are_shown_by_detection():
    rows = made.rows(made.ARMS[:4], made.DATASETS[:2], (1, 4), 2, 1)
    for row in rows:
        if row["dataset"] == "cryonuseg":
            row["scores"] = {"pq": None, "f1_detection": row["scores"]["f1_detection"]}
            row["groups"] = {g: {"pq": None, "f1_detection": v["f1_detection"]} for g, v in row["groups"].items()}
    found = findings(rows)
    assert found.results.scores == {"cryonuseg": "f1_detection", "pannuke": "pq"}
    document = document_of(found)
    assert any(t.caption.startswith("cryonuseg: detection F1 by number") for t in tables(document))
    assert "cryonuseg by detection F1" in words(document)
    assert "no quantity of its own" in words(document)
    assert len(found.ranking.cells) == 4


def test_scores_that_are_not_numbers_are_left_out_and_counted(tmp_path, pictures):
    rows = few_rows(arms=3, draws=3)
    rows[0]["scores"]["pq"] = None
    rows[1]["scores"]["pq"] = float("nan")
    rows[0]["groups"] = rows[1]["groups"] = {g: {"pq": None} for g in rows[0]["groups"]}
    for row in rows:
        row["groups"][sorted(row["groups"])[0]] = {"pq": None}
    for row in rows[6:]:
        row["scores"]["pq"] = None
    found = findings(rows)
    assert len(found.ranking.arms) == 2
    assert "5 runs ended without the score" in " ".join(limit_sentences(found))
    page = report(rows, tmp_path / "out").read_text("utf-8")
    assert ">nan<" not in page.lower()
    assert "NaN" not in (tmp_path / "out" / "report.json").read_text("utf-8")


def test_nothing_but_transfer_is_ranked_at_zero():
    found = findings(few_rows(arms=3, budgets=(0,)))
    assert {budget.asked for _, budget in found.ranking.cells} == {0}
    assert "Score against annotations" in titles(document_of(found))


def test_budgets_in_nuclei_have_their_own_axis(tmp_path, pictures):
    rows = few_rows(arms=2, budgets=(1, 4))
    for row in rows:
        row["budget"] = {"unit": "nuclei", "asked": 50 * row["patches"]}
    rows += few_rows(arms=2, budgets=(0,))
    report(rows, tmp_path / "out")
    curves = [texts for texts in pictures if "annotated nuclei" in texts]
    assert curves
    assert {"50", "200"} <= set(curves[0])
    assert "level: N = 0" in curves[0]


def test_missing_costs_classes_and_licences(tmp_path, pictures):
    rows = few_rows(arms=2)
    for row in rows:
        for key in ("cost", "classes", "licence", "seen", "seen_why", "intervals", "trained", "annotated", "options"):
            row.pop(key)
    document = document_of(findings(rows))
    assert {"Cost", "Classes"} & set(titles(document)) == set()
    assert report(rows, tmp_path / "out").exists()


def test_a_result_that_stands_there_twice_is_said():
    rows = few_rows()
    assert "1 result repeats" in " ".join(limit_sentences(findings([*rows, rows[0]])))
    assert "repeat" not in " ".join(limit_sentences(findings(rows)))


def test_many_arms_have_a_plot_an_encoder_and_the_best_in_the_diagram():
    arms = [
        (f"encoder_{i:02d}_with_quite_a_long_name_that_goes_on_and_on", "hub", decoder, method, 0.3 + 0.01 * i, 1e6)
        for i in range(18)
        for decoder in ("skip", "cellvit")
        for method in ("frozen", "full", "lora")
    ]
    found = findings(made.rows(arms, made.DATASETS[:2], (1, "all"), 1, 1))
    assert len(found.arms) == 108
    # Only the first against the others, but all pairs are counted.
    assert len(found.ranking.pairs) == 107
    assert found.ranking.family == 108 * 107 // 2
    document = document_of(found)
    plots = [block for section in document.sections for block in section.blocks if isinstance(block, Plot)]
    assert len([plot for plot in plots if plot.name.startswith("curves")]) == 18
    assert "24 best of 108 arms" in next(plot for plot in plots if plot.name == "critical-difference").caption
    assert found.ranking.pairs[-1].corrected < 0.05


def test_results_index_by_arm_and_data_set():
    results = Results(few_rows(arms=2, datasets=2), "pq")
    assert sum(len(results.of_arm(arm)) for arm in results.arms) == len(results.runs)
    assert results.groups("gbm40") == [f"gbm40-{i:02d}" for i in range(8)]


def test_every_column_is_documented(whole, tmp_path, pictures):
    report(few_rows(), tmp_path / "out")
    text = (Path(__file__).parents[2] / "docs" / "benchmark-report.md").read_text("utf-8")
    told = set(re.findall(r"`([a-z_*]+)`", text.split("## Columns of")[1]))
    for column in pl.read_parquet(tmp_path / "out" / "results.parquet").columns:
        group = f"{column.split('_')[0]}_*"
        assert column in told or group in told, column
