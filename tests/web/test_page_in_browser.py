"""The page in a real browser: texts typed, files sent and fetched, errors read, every task seen."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import known_page
import pytest
from browser import browser
from known_page import EVIL, TEXT, entities
from page_parts import Page
from saved_tiny import saved

from hf_ext.tasks.entities.span_head import AutoModelForSpanExtraction
from hf_ext.tasks.relations.head import AutoModelForRelationExtraction
from hf_ext.web.opened_model import OpenedModel

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Models of entities and of relations that find something, though they were never trained, by their names."""
    folder = tmp_path_factory.mktemp("pages")
    for name, auto_class in (("model", AutoModelForSpanExtraction), ("links", AutoModelForRelationExtraction)):
        saved(folder / name, auto_class.from_config, [TEXT], 64, id2label={0: "person", 1: "place"})
    return folder


@pytest.fixture(scope="module")
def address(real):
    pytest.importorskip("gradio", reason="the page needs the extra demo")
    command = [sys.executable, known_page.__file__, str(real / "model"), str(real / "links")]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as server:
        told = server.stdout.readline().strip()
        if not told:
            pytest.fail(server.stderr.read())
        # What it logs must not fill the pipe.
        log = threading.Thread(target=server.stderr.read)
        log.start()
        yield told
        server.terminate()
        log.join()


@pytest.fixture(scope="module")
def opened():
    with browser() as one:
        yield one


@pytest.fixture
def shown(opened, address):
    """The page, and at the end that it asked nothing of any other address, and ran nothing of a text."""
    # So wide that no tab of a model is in a menu.
    context = opened.new_context(accept_downloads=True, viewport={"width": 2400, "height": 1000})
    one = context.new_page()
    one.set_default_timeout(8_000)
    asked, errors = [], []
    one.on("request", lambda request: asked.append(request.url))
    one.on("pageerror", lambda error: errors.append(str(error)))
    one.goto(address)
    one.get_by_role("tab", name="span-extraction").wait_for()
    yield one
    assert one.evaluate("window.hit") is None
    assert {url.partition(":")[0] for url in asked if not url.startswith(address)} <= {"data", "blob"}
    assert errors == []
    context.close()


def panel(shown, model, tab=None):
    """What the tab of a model shows."""
    shown.get_by_role("tab", name=model, exact=True).click()
    whole = shown.get_by_role("tabpanel").filter(visible=True).first
    if tab is not None:
        whole.get_by_role("tab", name=tab, exact=True).click()
    return whole.get_by_role("tabpanel").filter(visible=True).last


def find(part, action="Find", **values):
    """Fill the fields of a tab, press its button, and wait for what comes of it."""
    for label, value in values.items():
        part.get_by_label(re.compile(rf"^\s*{label}(,.*)?\s*$")).fill(value)
    part.get_by_role("button", name=action, exact=True).click()
    result = part.locator(".hx-result").filter(visible=True).first
    result.wait_for()
    return result


def test_entities_of_a_text(shown):
    part = panel(shown, "span-extraction")
    find(part, text=TEXT)
    marks = part.locator("mark")
    assert marks.evaluate_all("all => all.map(one => [one.dataset.label, one.textContent])") == [
        ["person", "林一舟"],
        ["organization", "春江出版社"],
        ["place", "春江"],
    ]
    # The inner one stands in the outer one.
    assert part.locator("mark mark").all_text_contents() == ["春江"]
    with shown.expect_download() as download:
        part.get_by_role("button", name="JSON lines").or_(part.get_by_role("link", name="JSON lines")).first.click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert download.value.suggested_filename == "entities.jsonl"
    assert [json.loads(line) for line in lines] == [{"text": TEXT, "entities": entities(TEXT)}]
    with shown.expect_download() as download:
        part.get_by_role("button", name="HTML page").or_(part.get_by_role("link", name="HTML page")).first.click()
    page = Page(download.value.path().read_text(encoding="utf-8"))
    assert page.texts("mark") == ["林一舟", "春江出版社", "春江"]


def test_a_threshold_is_taken_and_a_wrong_one_told(shown):
    part = panel(shown, "span-extraction")
    find(part, text=TEXT, threshold="0.85")
    assert part.locator("mark").all_text_contents() == ["春江出版社"]
    part.get_by_label("threshold").fill("2")
    part.get_by_role("button", name="Find", exact=True).click()
    alert = part.get_by_role("alert")
    alert.wait_for()
    assert alert.text_content() == "threshold must be in [0, 1), got 2.0 (see config.json)"
    # What was found before is gone, and so are its files.
    assert part.locator("mark").count() == 0
    assert part.get_by_text("JSON lines").filter(visible=True).count() == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text must not be empty"),
        ("broken", "This could not be answered: something went wrong here. The server's log says what."),
    ],
)
def test_errors_are_sentences(shown, text, message):
    assert find(panel(shown, "span-extraction"), text=text).get_by_role("alert").text_content() == message


def test_texts_are_never_markup(shown):
    part = panel(shown, "span-extraction")
    find(part, text=f"甲{EVIL}乙")
    shown.wait_for_timeout(300)
    assert part.locator("mark").all_text_contents() == [EVIL]
    assert part.locator("mark").first.get_attribute("data-label") == EVIL
    assert part.locator(".hx-result").locator("img, script").count() == 0


def test_a_file_of_texts(shown, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text(f"{TEXT}\n甲\n", encoding="utf-8")
    part = panel(shown, "span-extraction", "File")
    part.locator("input[type=file]").set_input_files(file)
    part.get_by_text("texts.txt").or_(part.get_by_text("texts")).first.wait_for()
    find(part, "Find in the file")
    assert part.locator(".hx-result").count() == 2
    assert part.locator("mark").count() == 3


def test_a_file_that_is_no_use_is_told_by_its_name(shown, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n')
    part = panel(shown, "span-extraction", "File")
    part.locator("input[type=file]").set_input_files(file)
    part.get_by_text("rows").first.wait_for()
    message = find(part, "Find in the file").get_by_role("alert").text_content()
    assert message.startswith('rows.jsonl:1: a JSON line must be an object with "text"')


def test_a_file_that_is_too_large_is_refused(shown, tmp_path):
    file = tmp_path / "large.txt"
    file.write_bytes(b"a" * (5 * 2**20))
    part = panel(shown, "span-extraction", "File")
    part.locator("input[type=file]").set_input_files(file)
    shown.get_by_text(re.compile("maximum allowed size|exceeds|File size")).first.wait_for()
    assert find(part, "Find in the file").get_by_role("alert").text_content() == "a file must be chosen first"


@pytest.mark.parametrize(
    ("model", "values", "selector", "expected"),
    [
        ("relation-extraction", {"text": TEXT}, "svg .name", ["编辑"]),
        ("event-extraction", {"text": TEXT}, "mark", ["林一舟"]),
        ("classification", {"text": TEXT, "text2": "乙"}, ".hx-bars .name", ["文化"]),
        ("reading-comprehension", {"question": "谁", "context": TEXT}, "mark", ["林一舟"]),
        ("multiple-choice", {"text": "甲", "choices": "乙\n丙"}, "li.chosen", ["丙 0.900"]),
        ("text-similarity", {"text1": "甲", "text2": "乙"}, ".hx-bars td:last-child", ["0.625"]),
        ("paraphrase-generation", {"text": "甲"}, ".hx-bars .name", ["说甲"]),
        ("dialogue-reply", {"turns": "甲\n乙"}, ".hx-written", ["回乙"]),
        ("summary-generation", {"text": "甲"}, ".hx-written", ["总甲"]),
    ],
)
def test_every_task(shown, model, values, selector, expected):
    assert find(panel(shown, model), **values).locator(selector).all_text_contents() == expected


def test_images(shown, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")
    part = panel(shown, "image-classes")
    part.locator("input[type=file]").set_input_files(tmp_path / "cat.png")
    part.locator("img").first.wait_for()
    assert find(part).locator(".hx-bars .name").all_text_contents() == ["猫"]


def test_a_real_model_shows_its_scores_and_tokens(shown, real):
    part = panel(shown, "model")
    found = find(part)
    find_one = OpenedModel.open(str(real / "model"), device="cpu")
    expected = find_one.answers([{"text": TEXT}], {})[0]["entities"]
    assert expected
    assert found.locator("tr td:nth-child(2)").all_text_contents() == [one["text"] for one in expected]
    part = panel(shown, "model", "Span scores")
    heat = find(part, "Show scores").locator("svg rect")
    assert heat.count() == len(TEXT) * (len(TEXT) + 1) // 2
    part = panel(shown, "model", "Tokens")
    tokens = find(part, "Show tokens").locator("code").all_text_contents()
    assert tokens == find_one.pipeline.tokenizer.convert_ids_to_tokens(find_one.pipeline.tokenizer(TEXT)["input_ids"])


def test_a_predicate_shows_both_of_its_links(shown):
    part = panel(shown, "links", "Span scores")
    find(part, "Show scores")
    assert part.locator("svg.hx-heat").count() == 1
    part.get_by_label("label").click()
    shown.get_by_role("option", name="place").click()
    part.locator("svg.hx-heat").nth(1).wait_for()
    names = part.locator("svg.hx-heat").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert names == [
        f"place: {end} tokens: {end} token of subject by row, {end} token of object by column"
        for end in ("first", "last")
    ]
    # An object may stand before its subject.
    assert part.locator("svg.hx-heat rect").count() == 2 * len(TEXT) ** 2


@pytest.mark.parametrize("path", ["gradio_api/file=/etc/passwd", "gradio_api/file=pyproject.toml", "openapi.json"])
def test_files_of_the_server_are_not_given(address, path):
    with pytest.raises(HTTPError) as caught:
        urlopen(address + path)
    with caught.value:
        assert caught.value.code in (403, 404)


def test_browsers_are_told_to_load_nothing_from_elsewhere(address):
    with urlopen(address) as answer:
        policy = answer.headers["content-security-policy"]
        config = answer.read().decode()
    assert policy.startswith("default-src 'self' ")
    assert "http:" not in policy
    assert '"analytics_enabled":false' in config.replace(" ", "")
