"""The shape of the package: what importing it costs, what it exports, what a wheel holds, what the docs promise."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vlmkit

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("vlmkit", "adapters", "strategies", "plugins", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
HEAVY = ("torch", "transformers", "datasets", "pyarrow")


@pytest.mark.parametrize(
    "code",
    [
        "import vlmkit",
        "from vlmkit.registry import PluginHost; PluginHost.load()",
        "import vlmkit.cli.main",
    ],
)
def test_light_imports_stay_light(code):
    check = f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_exports_exist_and_are_sorted():
    assert vlmkit.__all__ == sorted(vlmkit.__all__)
    assert all(getattr(vlmkit, name) is not None for name in vlmkit.__all__)


def test_files_stay_short_enough_to_hold_in_mind():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_only_the_command_line_may_read_the_environment():
    readers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if "tests" not in path.parts and re.search(r"os\.environ\b|getenv", path.read_text())
    ]
    # MLflow is set up by its own environment variables alone, and NO_COLOR is meant for every program.
    assert sorted(readers) == ["plugins/vlmkit_mlflow/observer.py", "vlmkit/cli/output.py"]


def test_links_between_docs_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    source = tmp_path_factory.mktemp("source") / "vlmkit"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "runs", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    out = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", out, source]
    subprocess.run([sys.executable, *map(str, build)], check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_wheel_holds_the_packages_and_nothing_else(wheel):
    names = wheel.namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    plugins = ("datasets", "engines", "glyphs", "hf", "hierarchy", "mimic", "mlflow", "ray", "shortlist", "train")
    assert top == {"vlmkit", "vlmkit_adapters", "vlmkit_strategies", *(f"vlmkit_{name}" for name in plugins)}
    checkpoint = "vlmkit_adapters/tiny/checkpoint/"
    page = [f"vlmkit/report/assets/{name}" for name in ("page.html.jinja", "report.css", "main.js")]
    template = "vlmkit/scaffold/templates/strategy/test.py.jinja"
    for wanted in (*page, template, "vlmkit/prompts/choose.jinja", "vlmkit/py.typed", f"{checkpoint}model.safetensors"):
        assert wanted in names
    assert any(name.startswith(checkpoint) and name.endswith(".jinja") for name in names)


def test_embedded_model_stays_small():
    checkpoint = ROOT / "adapters" / "vlmkit_adapters" / "tiny"
    assert sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()) <= 8 * 2**20
