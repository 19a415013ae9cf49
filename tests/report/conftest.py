"""What tests of reports share: runs over hostile labels, and pages taken apart."""

import json
from html.parser import HTMLParser

import PIL.Image
import pytest

from vlmkit.cli.main import main
from vlmkit.data.images import open_image

EVIL = '</script><script>document.title="owned"</script>'
EVIL_ID = '<img src=x onerror="document.title=1">\u2028|'
LABELS = ("red fox", "arctic fox", "grey wolf", "brown bear", "house cat", "lynx", "crane", "heron", "ibis", EVIL)
MAMMALS = LABELS[:6]


def _call(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="session")
def call():
    """Run ``vlmkit`` in this process; return its exit code."""
    return _call


@pytest.fixture(scope="session")
def evil():
    """A label and an id that would act on a careless page."""
    return EVIL, EVIL_ID


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Pictures with their labels and a taxonomy, and runs over them: ``scored``, ``paper`` and ``few``."""
    root = tmp_path_factory.mktemp("report")
    rows, truth = [], {}
    for number in range(20):
        name, label = f"{number}.png", LABELS[number % len(LABELS)]
        PIL.Image.new("RGB", (200, 100), (12 * number, 90, 200)).save(root / name)
        truth[open_image(root / name).digest] = label
        rows.append({"image": name, "label": label, "id": EVIL_ID if number == 9 else name})
    (root / "broken.png").write_bytes(b"no picture")
    rows.append({"image": "broken.png", "label": "lynx"})
    (root / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (root / "truth.json").write_text(json.dumps(truth))
    (root / "labels.txt").write_text("\n".join(LABELS))
    (root / "few.txt").write_text("\n".join([*LABELS, "otter", "badger"]))
    tree = {label: ["animal", "mammal" if label in MAMMALS else "bird", label] for label in LABELS}
    (root / "tree.json").write_text(json.dumps(tree))
    model = f"scripted:truth={root / 'truth.json'},accuracy=0.9"
    common = ("run", root / "data.jsonl", "--quiet", "--fail-on-error", "100%", "--json")
    scored = ("--model", model, "--strategy", "dci:group_size=4", "--taxonomy", root / "tree.json", "--log-samples")
    paper = ("--model", f"{model},none_rate=0.6,invalid_rate=0.3", "--strategy", "dci:group_size=4,policy=paper")
    assert _call(*common, *scored, "--labels", root / "labels.txt", "--output", root / "scored") == 0
    assert _call(*common, *paper, "--labels", root / "labels.txt", "--output", root / "paper", "--log-samples") == 0
    few = ("--model", model, "--strategy", "dci:group_size=4", "--labels", root / "few.txt")
    assert _call(*common, *few, "--output", root / "few") == 0
    return root


class Page(HTMLParser):
    """A page, taken apart."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.blocks, self._open = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._open = (tag, dict(attributes), [])

    def handle_data(self, data):
        if self._open:
            self._open[2].append(data)
        else:
            self.text += data

    def handle_endtag(self, tag):
        if self._open and tag == self._open[0]:
            self.blocks.append((tag, self._open[1], "".join(self._open[2])))
            self._open = None

    def all(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]

    def block(self, name):
        (text,) = (text for _, attributes, text in self.blocks if attributes.get("id") == f"data-{name}")
        return json.loads(text)


@pytest.fixture(scope="session")
def opened():
    """Take a page apart: ``opened(path)``."""
    return lambda path: Page(path.read_text(encoding="utf-8"))
