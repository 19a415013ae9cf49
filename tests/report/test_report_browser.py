"""The page of a report in a real browser: headless Chromium, with the page as a file and no network."""

import shutil
import statistics
import time

import pytest

from vlmkit.runs import Record, StoredRun, summary
from vlmkit.runs.convert import dumps, to_json
from vlmkit.runs.record import RoundRecord
from vlmkit.types import Tokens, Usage
from vlmkit_glyphs.dataset import Glyphs

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]

selenium = pytest.importorskip("selenium", reason="needs the package selenium")

from selenium.webdriver import Chrome, ChromeOptions, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

PHONE = 360

OUTLINED = """
    // The outline of a radio button is drawn around the words beside it.
    const shown = arguments[0].type === "radio" ? arguments[0].nextElementSibling : arguments[0];
    return getComputedStyle(shown).outlineStyle === "solid";
"""


@pytest.fixture(scope="module")
def chrome():
    """One browser for all tests; Selenium looks for no driver of its own."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def written(place, call):
    """A page about one run, and one about three."""
    one, three = place / "browser-one.html", place / "browser-three.html"
    assert call("report", place / "scored", "--output", one) == 0
    assert call("report", place / "scored", place / "paper", place / "few", "--output", three) == 0
    return one, three


@pytest.fixture
def show(chrome):
    """Open a page in a window of some width and with some preference; complain of anything on the console."""

    def call(path, *, width=1280, scheme="light"):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        chrome.get(path.as_uri())
        chrome.execute_script("localStorage.clear()")
        chrome.get(path.as_uri())
        return chrome

    yield call
    assert chrome.get_log("browser") == []


def one(chrome, selector):
    return chrome.find_element(By.CSS_SELECTOR, selector)


def texts(chrome, selector):
    return [element.text for element in chrome.find_elements(By.CSS_SELECTOR, selector)]


def ids(chrome):
    """The ids of the examples on the page, character by character."""
    return [element.get_property("textContent") for element in chrome.find_elements(By.CSS_SELECTOR, ".card .id")]


def count(chrome):
    """The number of examples that the filters left."""
    return (
        int(one(chrome, "#count").text.split(" of ")[-1].replace(",", "")) if "of" in one(chrome, "#count").text else 0
    )


def choose_outcome(chrome, outcome):
    one(chrome, f'input[name=outcome][value="{outcome}"]').find_element(By.XPATH, "..").click()


def fill(chrome, name, text):
    one(chrome, f"input[name={name}]").send_keys(text)


def records(place, run):
    return list(StoredRun.read(place / run).records())


def test_filters_leave_what_they_name(show, written, place):
    chrome = show(written[0])
    known = records(place, "scored")
    wrong = [record for record in known if record.correct is False]
    assert count(chrome) == len(known) == 21
    choose_outcome(chrome, "wrong")
    assert count(chrome) == len(wrong) > 0
    assert sorted(ids(chrome)) == sorted(record.id for record in wrong)
    choose_outcome(chrome, "failed")
    assert count(chrome) == 1 and "broken.png" in one(chrome, ".card").text
    one(chrome, "#clear").click()
    assert count(chrome) == 21
    fill(chrome, "target", "red fox")
    assert count(chrome) == sum(record.target == "red fox" for record in known)
    one(chrome, "#clear").click()
    fill(chrome, "target", "FOX")  # no label of that name: all that hold it
    assert count(chrome) == sum("fox" in record.target for record in known)
    one(chrome, "#clear").click()
    fill(chrome, "label", "crane")
    assert count(chrome) == sum(record.label == "crane" for record in known)
    one(chrome, "#clear").click()
    fill(chrome, "text", "12.png")
    assert ids(chrome) == ["12.png"]
    fill(chrome, "text", " and nothing else")
    assert "No example" in one(chrome, "#count").text


def test_labels_and_ids_never_act(show, written, evil):
    chrome = show(written[0])
    label, id_ = evil
    fill(chrome, "text", "onerror")
    assert ids(chrome) == [id_]
    one(chrome, "#clear").click()
    fill(chrome, "target", label)
    assert count(chrome) == 2
    one(chrome, ".card").click()
    assert label in one(chrome, "#details").text
    assert chrome.title.startswith("dci")
    assert not chrome.find_elements(By.CSS_SELECTOR, "img[onerror]")
    assert chrome.execute_script("return performance.getEntriesByType('resource').map(({name}) => name)") == []


def test_the_policy_stops_what_is_not_the_pages_own(show, written):
    chrome = show(written[0])
    added = """
        const script = document.createElement('script');
        script.textContent = 'document.title = "owned"';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="document.title = 1">');
        new Image().src = 'http://127.0.0.1:9/';
    """
    chrome.execute_script(added)
    refused = []
    WebDriverWait(chrome, 60).until(
        lambda page: refused.extend(entry["message"] for entry in page.get_log("browser")) or len(refused) >= 3
    )
    assert chrome.title.startswith("dci")
    assert all("Content Security Policy" in message for message in refused)


def test_everything_is_reached_and_used_by_keyboard(show, written):
    chrome = show(written[0])
    controls = chrome.execute_script(
        "return [...document.querySelectorAll('a, button, select, input, [tabindex=\"0\"]')]"
        ".filter((control) => control.checkVisibility() && !control.disabled)"
        ".filter((control) => control.type !== 'radio' || control.checked)"
    )
    reached = []
    for _ in controls:
        chrome.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(chrome.switch_to.active_element)
        assert chrome.execute_script(OUTLINED, reached[-1])
    assert reached == controls

    card = chrome.find_elements(By.CSS_SELECTOR, ".card")[0]
    chrome.execute_script("arguments[0].focus()", card)
    card.send_keys(Keys.ENTER)
    title = one(chrome, "#details-title").text
    assert chrome.switch_to.active_element == one(chrome, "#details-close")
    chrome.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert one(chrome, "#details-title").text != title
    chrome.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert one(chrome, "#details-title").text == title
    chrome.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not one(chrome, "#details").is_displayed()
    assert chrome.switch_to.active_element == card


def test_the_bracket_shows_who_was_asked_about_and_who_went_on(show, written, place):
    chrome = show(written[0])
    record = next(record for record in records(place, "scored") if record.correct is False)
    asked = [sample for sample in StoredRun.read(place / "scored").samples() if sample["id"] == record.id]
    fill(chrome, "text", record.id)
    one(chrome, ".card").click()
    assert texts(chrome, ".winner") == [sample["choice"] for sample in asked]
    chrome.execute_script("document.querySelectorAll('.group').forEach((group) => group.open = true)")
    for group, sample in zip(chrome.find_elements(By.CSS_SELECTOR, ".group"), asked, strict=True):
        options = group.find_elements(By.CSS_SELECTOR, "li")
        assert len(options) == len(sample["options"])
        assert [option.text.split("\n")[0] for option in options if "won" in (option.get_dom_attribute("class") or "")]
        tagged = group.find_elements(By.CSS_SELECTOR, ".tag")
        assert len(tagged) == sample["options"].count(record.target)
    numbers = [record.trace[0].candidates, *(played.survivors for played in record.trace)]
    assert one(chrome, ".funnel").text == f"{' → '.join(map(str, numbers))} labels"


def test_the_taxonomy_opens_and_leads_to_examples(show, written, place):
    chrome = show(written[0])
    assert texts(chrome, "#branch-tables .stacked tbody th") == ["bird", "mammal"]
    one(chrome, "#branch-tables .matrix button.other").click()
    inside = {record.target: record.path for record in records(place, "scored")}
    assert 0 < count(chrome) < len(inside) + 1
    assert "taken for" in one(chrome, "#branch-filter").text
    one(chrome, "#branch-filter button").click()
    assert count(chrome) == 21
    one(chrome, "#branch-tables .stacked tbody th button").click()
    assert one(chrome, "#branch-path [aria-current]").text == "bird"
    assert {"crane", "heron", "ibis"} <= set(texts(chrome, "#branch-tables .stacked tbody th"))
    one(chrome, "#branch-path button").click()
    assert texts(chrome, "#branch-tables .stacked tbody th") == ["bird", "mammal"]


def test_runs_are_switched_and_compared(show, written, place):
    chrome = show(written[1])
    one(chrome, "#run option:nth-child(2)").click()
    nothing = [record for record in records(place, "paper") if record.label is None and record.error is None]
    choose_outcome(chrome, "none")
    assert count(chrome) == len(nothing) > 0
    assert not one(chrome, "#branches").is_displayed()
    one(chrome, ".card").click()
    assert len(texts(chrome, "#details h3 + .verdict dt")) == 2
    one(chrome, "#details-close").click()
    one(chrome, "#clear").click()
    scored = {record.id: bool(record.correct) for record in records(place, "scored")}
    lost = [record.id for record in records(place, "paper") if scored[record.id] and not record.correct]
    # By keyboard: a driver's click on an option fires no "input", a user's choice does.
    one(chrome, "#compared").send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert one(chrome, "#compared").get_property("value") == "0 there"
    assert ids(chrome) == lost != []
    choose_outcome(chrome, "none")
    one(chrome, "#run option:nth-child(3)").click()
    assert count(chrome) == 0  # this run has none of these, and the filter still says so
    assert one(chrome, "input[name=outcome]:checked + span").text == "no label 0"
    choose_outcome(chrome, "")
    one(chrome, ".card").click()
    assert "Only numbers" in one(chrome, "#details").text


@pytest.mark.parametrize("page", [0, 1])
def test_a_phone_shows_all_without_scrolling_sideways(show, written, page):
    chrome = show(written[page], width=PHONE)
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= PHONE
    chrome.execute_script("document.querySelector('.card').click()")
    assert chrome.execute_script("return document.getElementById('details').scrollWidth") <= PHONE
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= PHONE


def test_the_theme_follows_the_system_until_it_is_chosen(show, written):
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = show(written[0]).execute_script(ground)
    chrome = show(written[0], scheme="dark")
    dark = chrome.execute_script(ground)
    assert dark != light
    one(chrome, "#theme option[value=light]").click()
    assert chrome.execute_script(ground) == light
    chrome.refresh()
    assert chrome.execute_script(ground) == light
    one(chrome, "#theme option[value='']").click()
    assert chrome.execute_script(ground) == dark


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory):
    """A run of 10,000 examples and 1,000 labels, three rounds each."""
    data, drawn = "glyphs:labels=1000,images=10000", Glyphs(labels=1000, images=10_000)
    labels = drawn.labels.names

    def record(number, example):
        target = labels.index(example.target)
        near = [labels[(target + (number % 7 == 0) + step) % 1000] for step in range(10)]
        rounds = [(1000, 50, 50), (50, 3, 3), (3, 1, 1)]
        return Record(
            id=example.id,
            label=near[0],
            target=labels[target],
            correct=near[0] == labels[target],
            ranking=tuple((name, -1.2345 * step) for step, name in enumerate(near)),
            trace=tuple(RoundRecord(entered, asked, 0, 0, left, True) for entered, asked, left in rounds),
            text=None,
            usage=Usage(queries=54, forwards=1.0, tokens=Tokens(60, 9000), seconds=0.1),
            error=None,
        )

    made = [record(number, example) for number, example in enumerate(drawn)]
    run = tmp_path_factory.mktemp("thousands")
    session = {"started": "2026-01-01T00:00:00+00:00", "config": {"strategy": "dci", "data": data}}
    manifest = {"fingerprint": {"data": data}, "labels": {"number": 1000}, "session": session}
    (run / "manifest.json").write_bytes(dumps(manifest))
    (run / "predictions.jsonl").write_bytes(b"".join(dumps(to_json(one)) + b"\n" for one in made))
    results = summary(made, status="success", total=10_000, config={}, directory="run", limit=None, collisions=[])
    (run / "results.json").write_bytes(dumps(results))
    return run


@pytest.mark.parametrize("thumbnails", ["none", 1000, 10_000])
def test_ten_thousand_examples_stay_usable(show, ten_thousand, tmp_path, call, thumbnails):
    page = tmp_path / "page.html"
    start = time.perf_counter()
    assert call("report", ten_thousand, "--output", page, "--thumbnails", thumbnails) == 0
    wrote = time.perf_counter() - start
    chrome = show(page)
    assert count(chrome) == 10_000
    paint = chrome.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    ready = chrome.execute_script("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    typed = """
        const [text, done] = arguments, field = document.forms[0].elements.text, start = performance.now();
        field.value = text;
        field.dispatchEvent(new Event("input", {bubbles: true}));
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
    """
    filtering = [chrome.execute_async_script(typed, text) for text in ("r", "red", "red plain", "red plain circle")]
    known = StoredRun.read(ten_thousand).records()
    assert count(chrome) == sum(
        "red plain circle" in (record.target, record.label) or "red-plain-circle" in record.id for record in known
    )
    assert ("data:image/jpeg" in page.read_text(encoding="utf-8")) == (thumbnails != "none")
    size, filtered = page.stat().st_size / 1e6, statistics.median(filtering)
    print(f"10,000 examples, thumbnails of {thumbnails}: written in {wrote:.1f} s, {size:.1f} MB;", end=" ")
    print(f"first paint {paint:.0f} ms, ready {ready:.0f} ms; a filter {filtered:.0f} ms")
