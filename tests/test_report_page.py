"""The report as a person meets it: written by the task, opened from disk in a browser."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tasks.report import main
from tests.finished_runs import NASTY, classification, segmentation, write_project

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two problems; classification with two data sets, one of them with class names that are markup."""
    root = tmp_path_factory.mktemp("project")
    write_project(root, [*classification(6), *classification(2, "odd", NASTY), *segmentation(3)])
    before = Path.cwd()
    os.chdir(root)
    try:
        main(["classification"])
        main(["segmentation"])
    finally:
        os.chdir(before)
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # None is the one that `make test` lets playwright install where the machine has no Chromium.
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


def open_report(browser: Browser, project: Path, problem: str, scheme: str, size: dict[str, int]) -> Page:
    """The report in a fresh tab, which notes every error, dialog and request but for its own file."""
    page = browser.new_context(color_scheme=scheme, viewport=size).new_page()
    page.set_default_timeout(10_000)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
    page.on(
        "request", lambda request: troubles.append(request.url) if not _is_own(request.url, project) else None
    )
    page.goto((project / "report" / problem / "index.html").as_uri())
    page.troubles = troubles
    return page


def _is_own(url: str, project: Path) -> bool:
    return url.startswith(("data:", project.as_uri()))


def close_clean(page: Page) -> None:
    assert page.troubles == []
    page.context.close()


def column(page: Page, number: int) -> list[str]:
    return page.locator("#ranking table").first.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def test_headings_sort_by_click_and_by_keyboard(browser: Browser, project: Path) -> None:
    page = open_report(browser, project, "classification", "light", DESKTOP)
    table = page.locator("#ranking table").first
    ranked = column(page, 2)
    header = table.locator("thead th", has_text="Top-1")
    assert header.get_attribute("aria-sort") == "descending"
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, 2) == ranked[::-1]
    latency = table.locator("thead th", has_text="Latency p50")
    latency.locator("button").focus()
    page.keyboard.press("Enter")
    shown = [float(text.split()[0]) for text in column(page, 1 + latency.evaluate("cell => cell.cellIndex"))]
    assert shown == sorted(shown)
    assert (latency.get_attribute("aria-sort"), header.get_attribute("aria-sort")) == ("ascending", "none")
    close_clean(page)


def test_the_theme_follows_the_system_until_the_button_is_pressed(
    browser: Browser, project: Path, scheme: str
) -> None:
    page = open_report(browser, project, "classification", scheme, DESKTOP)
    brightness = (
        "() => getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).reduce((a, b) => a + +b, 0)"
    )
    assert (page.evaluate(brightness) > 384) == (scheme == "light")
    page.locator("#theme").click()
    assert (page.evaluate(brightness) > 384) == (scheme == "dark")
    page.locator("#theme").click()
    assert (page.evaluate(brightness) > 384) == (scheme == "light")
    close_clean(page)


@pytest.mark.parametrize("problem", ["classification", "segmentation"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_nothing_overflows_with_every_run_opened(
    browser: Browser, project: Path, scheme: str, problem: str, size: dict[str, int]
) -> None:
    page = open_report(browser, project, problem, scheme, size)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    broken = page.evaluate("[...document.images].filter(i => i.offsetParent && !i.naturalWidth).length")
    assert broken == 0
    assert page.evaluate("[...document.images].every(i => i.alt)")
    close_clean(page)


@pytest.mark.parametrize("problem", ["classification", "segmentation"])
def test_text_stands_out_from_its_ground(browser: Browser, project: Path, scheme: str, problem: str) -> None:
    page = open_report(browser, project, problem, scheme, DESKTOP)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate(FAINT_TEXTS) == []
    close_clean(page)


def test_metric_chooser_and_legend_change_the_curves(browser: Browser, project: Path) -> None:
    page = open_report(browser, project, "segmentation", "light", DESKTOP)
    box = page.locator(".curves").first
    assert box.locator("svg.lines:visible").get_attribute("data-metric") == "val/mean_iou"
    box.get_by_text("Training loss").click()
    assert box.locator("svg.lines:visible").get_attribute("data-metric") == "train/loss"
    assert box.locator("svg.lines:visible .line:not([hidden])").count() == 3
    box.get_by_role("button", name="fcn8s-scenes").click()
    assert box.locator("svg.lines:visible .line:not([hidden])").count() == 2
    box.get_by_role("button", name="All or none").click()
    assert box.locator("svg.lines:visible .line:not([hidden])").count() == 0
    box.get_by_role("button", name="All or none").click()
    box.locator("svg.lines:visible").hover()
    assert re.match(r"fcn\S+ · epoch \S+ · \S+", page.locator("#tip").inner_text())
    close_clean(page)


def test_the_same_samples_stand_beside_each_other(browser: Browser, project: Path) -> None:
    page = open_report(browser, project, "segmentation", "light", DESKTOP)
    rows = page.locator("#samples table tbody tr")
    assert rows.count() == 4
    assert rows.first.locator("img:visible").count() == 2 + 3
    shown = rows.first.locator("td").last.locator("img:visible")
    before = shown.get_attribute("class")
    page.get_by_text("Errors", exact=True).click()
    assert (before, shown.get_attribute("class")) == ("when-prediction", "when-error")
    close_clean(page)


def test_a_link_to_a_run_opens_all_there_is_to_know_of_it(browser: Browser, project: Path) -> None:
    page = open_report(browser, project, "classification", "dark", DESKTOP)
    page.locator("#ranking").get_by_role("link", name="mlp-digits").click()
    section = page.locator("#run-mlp-digits")
    # The page opens it once it hears of the new address, which may be after the click is done.
    section.get_by_text("python -m tasks.train mlp-digits").wait_for()
    told = section.inner_text()
    for part in (
        "python -m tasks.train mlp-digits",
        "0123abcd",
        "abab",
        "torch 2.15.0",
        "2 cores",
        "batch_size",
    ):
        assert part in told
    assert section.locator("svg.matrix").is_visible()
    close_clean(page)


def test_names_are_text_and_never_markup(project: Path) -> None:
    text = (project / "report/classification/index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("<script>") == text.count("</script>") == 1
    assert text.count("</style>") == 1


def test_the_page_carries_everything_and_stays_small(project: Path) -> None:
    for problem in ("classification", "segmentation"):
        text = (project / f"report/{problem}/index.html").read_text(encoding="utf-8")
        assert len(text) < 2_000_000
        assert set(re.findall(r'(?:src|href)="([a-z]+):', text)) <= {"data"}
        assert "http" not in text.replace("http-equiv", "")


def test_ranking_json_and_the_page_agree_and_are_the_same_each_time(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project / "report/classification"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rows = json.loads(before["ranking.json"])
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6, 1, 2]
    monkeypatch.chdir(project)
    main(["classification"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    printed = capsys.readouterr().out
    assert f"{rows[0]['score'] * 100:.2f}" in printed
    assert "\x1b" not in printed


def test_a_failed_report_leaves_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, classification(2))
    monkeypatch.chdir(tmp_path)
    main(["classification"])
    before = Path("report/classification/index.html").read_bytes()
    next(Path("results/classification/mlp-digits/figures/samples").glob("random_*")).write_bytes(
        b"no picture"
    )
    with pytest.raises(SystemExit) as stop:
        main(["classification"])
    assert stop.value.code == 2
    assert "dvc repro --force evaluate@mlp-digits" in capsys.readouterr().err
    assert Path("report/classification/index.html").read_bytes() == before
    assert [path.name for path in Path("report").iterdir()] == ["classification"]


def test_an_unknown_problem_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, classification(1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["clasification"])
    assert (
        capsys.readouterr().err
        == "error: params.yaml: no problem 'clasification': did you mean 'classification'?\n"
    )


# Visible texts whose contrast with what lies behind them is too small (WCAG 2.2, 1.4.3: 4.5; large text 3).
# Colours are drawn on a canvas: any notation that a browser reports, color-mix() too, becomes plain sRGB.
FAINT_TEXTS = """() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
  const brush = canvas.getContext('2d', { willReadFrequently: true });
  const paint = (colours) => {
    brush.clearRect(0, 0, 1, 1);
    for (const colour of colours) { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); }
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => rgb.map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const faint = [];
  for (const element of document.querySelectorAll('main *:not(svg *), header *, footer *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility() || element.closest('.unseen')) continue;
    const grounds = [];
    for (let e = element; e; e = e.parentElement) grounds.unshift(getComputedStyle(e).backgroundColor);
    const style = getComputedStyle(element);
    const [a, b] = [light(paint(grounds)), light(paint([...grounds, style.color]))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (contrast < least) faint.push([element.textContent.trim(), contrast]);
  }
  return faint;
}"""
