"""Figures, sample pictures, collecting and ranking: values in, files and values out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regatta.errors import RegattaError
from regatta.reporting import overlays, ranking
from regatta.reporting.axes import Axis, log_axis
from regatta.reporting.collecting import collect
from regatta.reporting.columns import compact, duration
from regatta.reporting.figures import draw_confusion, draw_curves, draw_per_class
from regatta.reporting.palette import VOID_RGB, class_rgb, label_palette
from regatta.reporting.pictures import confusion_uri, data_uri
from regatta.reporting.result import ClassScore, Point, RunResult
from regatta.reporting.samples import Sample, write_samples
from regatta.settings.course import read_course
from tests.finished_runs import Finished, classification, segmentation, write_project

HISTORY = (
    Point(1, 10, "train/loss", 2.0),
    Point(1, 10, "val/loss", 1.9),
    Point(1, 10, "val/top1", 0.4),
    Point(2, 20, "val/top1", 0.6),
)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def per_class(count: int) -> list[ClassScore]:
    return [ClassScore(f"class {i}", "f1", i / count, 10 * i) for i in range(count)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: draw_curves(HISTORY, "top1", path),
        lambda path: draw_confusion(np.array([[5, 1], [0, 9]]), ["a", "b"], path),
        lambda path: draw_per_class(per_class(4), "f1", path),
    ],
)
def test_figures_are_the_same_bytes_each_time_and_carry_no_date(
    draw: Callable[[Path], None], tmp_path: Path
) -> None:
    draw(tmp_path / "one.png")
    draw(tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert set(picture.info) <= {"dpi"}


def test_figures_do_not_follow_the_users_matplotlibrc(tmp_path: Path) -> None:
    import matplotlib

    draw_curves(HISTORY, "top1", tmp_path / "plain.png")
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        draw_curves(HISTORY, "top1", tmp_path / "styled.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


@pytest.mark.parametrize("count", [2, 10, 100])
def test_confusion_matrix_grows_with_its_classes_and_marks_the_right_cell(count: int, tmp_path: Path) -> None:
    counts = np.zeros((count, count), dtype=np.int64)
    counts[0, 1] = 1_234_567
    draw_confusion(counts, [f"$bad {i}$ <name> 鯨" for i in range(count)], tmp_path / "c.png")
    shades = pixels(tmp_path / "c.png").astype(int)
    assert shades.shape[0] > count * 12
    # The only filled cell is the deepest blue, and lies in the first row.
    rows, _ = np.where((shades[..., 2] - shades[..., 0] > 60) & (shades[..., 0] < 20))
    assert len(rows) > 100
    assert rows.mean() < shades.shape[0] / 2


def test_figures_of_nothing_are_still_figures(tmp_path: Path) -> None:
    draw_curves((), "top1", tmp_path / "curves.png")
    empty = [ClassScore(row.name, "f1", float("nan"), 0) for row in per_class(3)]
    draw_per_class(empty, "f1", tmp_path / "bars.png")
    assert pixels(tmp_path / "curves.png").std() > 0
    assert pixels(tmp_path / "bars.png").std() > 0


def test_class_colours_differ_and_none_is_like_void() -> None:
    palette = label_palette(ignore_label=None)
    assert len(np.unique(palette, axis=0)) == 256
    distances = np.linalg.norm(palette[:31].astype(int) - VOID_RGB, axis=1)
    assert distances.min() > 40
    assert tuple(label_palette(ignore_label=255)[255]) == VOID_RGB


def test_a_digit_of_eight_pixels_is_enlarged_without_blur(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8)
    write_samples(tmp_path, [Sample("best", 3, "three", image, "3", "8", 0.25)])
    record = json.loads((tmp_path / "samples.json").read_text())[0]
    picture = pixels(tmp_path / record["image"])
    assert picture.shape == (128, 128, 3)
    assert (picture[::16, ::16, 0] == image[..., 0]).all()
    assert (picture[15::16, 15::16, 2] == image[..., 0]).all()
    assert (record["truth"], record["prediction"], record["truth_map"]) == ("3", "8", None)


def test_maps_show_classes_errors_and_void(tmp_path: Path) -> None:
    image = np.full((130, 140, 3), 90, dtype=np.uint8)
    truth, prediction = np.zeros((2, 130, 140), dtype=np.uint8)
    truth[0], truth[1], prediction[1] = 255, 2, 1
    write_samples(tmp_path, [Sample("random", 7, "x", image, truth, prediction, 0.9)], ignore_label=255)
    record = json.loads((tmp_path / "samples.json").read_text())[0]
    truth_map, errors = pixels(tmp_path / record["truth_map"]), pixels(tmp_path / record["error_map"])
    assert tuple(truth_map[0, 0]) == VOID_RGB == tuple(errors[0, 0])
    assert tuple(truth_map[1, 0]) == class_rgb(2)
    assert tuple(pixels(tmp_path / record["prediction_map"])[1, 0]) == class_rgb(1)
    assert tuple(errors[1, 0]) != tuple(errors[2, 0])
    assert len(set(errors[2, 0].tolist())) == 1, "right pixels are grey"


def test_samples_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
        write_samples(
            tmp_path / name, [Sample("best", 1, "n", image, "a", "b", 0.5, np.eye(3, dtype=np.float32))]
        )
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_activation_is_hottest_where_the_map_is_and_flat_maps_give_none() -> None:
    picture = np.full((32, 32, 3), 128, dtype=np.uint8)
    activation = np.zeros((4, 4), dtype=np.float32)
    activation[0, 3] = 5.0
    overlay = overlays.overlay_activation(picture, activation).astype(int)
    warmth = overlay[..., 0] - overlay[..., 2]
    assert np.unravel_index(warmth.argmax(), warmth.shape)[0] < 8
    assert np.unravel_index(warmth.argmax(), warmth.shape)[1] >= 24
    flat = overlays.overlay_activation(picture, np.full((4, 4), 3.0, dtype=np.float32))
    assert (flat == flat[0, 0]).all()


def test_large_photographs_shrink_for_the_page_and_flat_pictures_keep_their_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    Image.fromarray(label_palette(None)[:128, None].repeat(128, 1)).save(tmp_path / "flat.png")
    assert data_uri(tmp_path / "photo.png").startswith("data:image/jpeg;base64,")
    assert len(data_uri(tmp_path / "photo.png")) < 150_000
    assert data_uri(tmp_path / "flat.png").startswith("data:image/png;base64,")
    assert len(confusion_uri(np.eye(100, dtype=np.int64))) < 4_000


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pattern")
    write_project(root, classification(4) + segmentation(3))
    return root


@pytest.fixture
def project(pattern: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(pattern, tmp_path / "project")


def results(root: Path, problem: str = "classification") -> tuple[RunResult, ...]:
    return collect(read_course(root / "params.yaml"), problem, root)


def test_collecting_reads_the_runs_of_params_yaml_only(project: Path) -> None:
    (project / "results/classification/gone").mkdir()
    found = results(project)
    assert [r.run.name for r in found] == ["softmax-digits", "mlp-digits", "cnn-digits", "lenet-digits"]
    assert found[0].confusion.sum() == 360
    assert found[0].score == np.trace(found[0].confusion) / 360
    assert {p.metric for p in found[0].history} == {"train/loss", "val/loss", "val/top1"}
    assert results(project, "segmentation")[0].per_class[3].score == "iou"


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("results/classification/mlp-digits/scores.json", "evaluate@mlp-digits"),
        ("results/classification/mlp-digits/run.json", "evaluate@mlp-digits"),
        ("results/classification/mlp-digits/confusion.csv", "evaluate@mlp-digits"),
        ("results/classification/mlp-digits/figures/samples/samples.json", "evaluate@mlp-digits"),
        ("costs/classification/mlp-digits.json", "evaluate@mlp-digits"),
        ("journals/classification/mlp-digits/timings.json", "train@mlp-digits"),
    ],
)
def test_a_missing_or_broken_file_names_the_stage_to_run(project: Path, missing: str, stage: str) -> None:
    (project / missing).write_text("nonsense\n")
    with pytest.raises(RegattaError, match=f"{Path(missing).name}: .*dvc repro --force {stage}"):
        results(project)
    (project / missing).unlink()
    with pytest.raises(RegattaError, match=f"{Path(missing).name}: not there yet; run 'dvc repro {stage}'"):
        results(project)


@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("curves.csv", "epoch,step,metric,value\n1,often,val/loss,0.5\n"),
        ("confusion.csv", "actual,predicted,count\n0,cat,3\n"),
        ("per_class.csv", "class,score,value,support\n0,f1\n1,f1,high,3\n"),
    ],
)
def test_a_row_that_makes_no_sense_is_named_with_its_line(project: Path, file: str, rows: str) -> None:
    (project / "results/classification/mlp-digits" / file).write_text(rows)
    with pytest.raises(RegattaError, match=f"{file}: line {rows.count(chr(10))}: "):
        results(project)


def test_scores_without_the_one_that_ranks_are_refused(project: Path) -> None:
    path = project / "results/classification/mlp-digits/scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"primary": "charm"}))
    with pytest.raises(RegattaError, match="'primary' names no score: 'charm'"):
        results(project)


def test_ranks_are_per_data_set_best_first_and_equal_scores_share_one(tmp_path: Path) -> None:
    twins = [Finished(f"twin{i}", "mlp", "fashion", "classification", ("a", "b"), 1.0) for i in (1, 2)]
    write_project(tmp_path, [*classification(3), *twins])
    standings = ranking.rank(results(tmp_path))
    assert [s.dataset for s in standings] == ["digits", "fashion"]
    assert [p.result.run.name for p in standings[0].placed] == ["cnn-digits", "mlp-digits", "softmax-digits"]
    assert [p.rank for p in standings[1].placed] == [1, 1]
    assert ranking.lead_sentence(standings[1]) == "level with twin2"
    rows = ranking.ranking_rows(standings)
    assert rows[0]["score"] == rows[0]["top1"] >= rows[1]["score"]
    assert set(rows[0]["costs"]) >= {"parameters", "latency_p50_ms", "train_s"}


def test_what_is_said_of_the_lead_is_honest(project: Path) -> None:
    standing = ranking.rank(results(project))[0]
    assert "360 test samples" in ranking.trust_sentence(standing)
    assert "one seed (1)" in ranking.trust_sentence(standing)
    points = (standing.placed[0].result.score - standing.placed[1].result.score) * 100
    assert ranking.lead_sentence(standing).startswith(f"{points:.2f} points of Top-1")


def test_noise_margin_covers_95_of_100_gaps_between_equals(project: Path) -> None:
    result = ranking.rank(results(project))[0].winner
    draws = np.random.default_rng(0).binomial(360, result.score, (20_000, 2)) / 360
    inside = (np.abs(draws[:, 0] - draws[:, 1]) < ranking.noise_margin(result)).mean()
    assert 0.94 < inside < 0.97


def test_numbers_are_written_for_people() -> None:
    assert [compact(v) for v in (0, 3.14159, 36.68, 999, 12_345_678)] == [
        "0.00",
        "3.14",
        "36.7",
        "999",
        "12.3 M",
    ]
    assert [duration(v) for v in (3.2, 61, 7260)] == ["3.20 s", "1 min 01 s", "2 h 01 min"]


def test_axes_place_values_and_write_round_numbers() -> None:
    assert Axis(0, 10, 0, 100).place_px(5) == 50
    assert [text for _, text in Axis(0, 10, 0, 100).ticks()] == ["0", "2", "4", "6", "8", "10"]
    axis = log_axis([1, 100], 0, 100)
    assert axis.place_px(10) == pytest.approx(50, abs=0.1)
    assert {"1", "10", "100"} <= {text for _, text in axis.ticks()}
