import json

import PIL.Image
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("datasets")
hub = pytest.importorskip("huggingface_hub")
yaml = pytest.importorskip("yaml")

COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "grey": (128, 128, 128)}
MORE = {"white": (250, 250, 250), "black": (5, 5, 5)}
MODEL = ("--model", "colours", "--strategy", "whole", "--quiet")


@pytest.fixture
def run(vlmkit_here, tmp_path):
    """Run the toy model over a Parquet file of coloured pictures, one of them under a wrong label."""

    def call(*options, colours=None, output="run"):
        colours = colours or {**COLOURS, **MORE}
        targets = ["red" if name == "blue" else name for name in colours]
        pictures = []
        for number, colour in enumerate(colours.values()):
            path = tmp_path / f"{number}.png"
            PIL.Image.new("RGB", (4, 4), colour).save(path)
            pictures.append(path.read_bytes())
        pq.write_table(pa.table({"image": pictures, "label": targets}), tmp_path / "colours.parquet")
        (tmp_path / "labels.txt").write_text("\n".join(colours))
        done = vlmkit_here(
            "run",
            "colours.parquet",
            "--labels",
            "labels.txt",
            *MODEL,
            "--output",
            output,
            *options,
            "--fail-on-error",
            "0",
        )
        assert done.returncode == 0, done.stderr
        return tmp_path / output

    return call


def on_the_hub(run):
    """Let a run say that its data came from the Hub, where tests cannot go."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["fingerprint"]["data"] = "hf:name=some/colours,split=test,config=plain,revision=abc123"
    path.write_text(json.dumps(manifest))
    return run


def test_a_card_survives_the_parser_of_the_hub(run, vlmkit_here, tmp_path):
    on_the_hub(run())
    done = vlmkit_here("hf", "card", "run", "--output", "README.md", "--url", "https://example.org/run")
    assert (done.returncode, done.stdout) == (0, "")
    accuracy, top5 = hub.ModelCard.load(tmp_path / "README.md").data.eval_results
    results = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    assert accuracy.metric_value == pytest.approx(5 / 6, abs=1e-6)
    assert accuracy.metric_value == pytest.approx(results["accuracy"]["value"], abs=1e-6)
    assert (accuracy.metric_type, accuracy.metric_name) == ("accuracy", "Accuracy (whole, 6 labels)")
    assert (accuracy.task_type, accuracy.dataset_type) == ("image-classification", "some/colours")
    assert (accuracy.dataset_config, accuracy.dataset_split, accuracy.dataset_revision) == ("plain", "test", "abc123")
    low, high = accuracy.metric_args["interval"]
    assert low == pytest.approx(results["accuracy"]["low"], abs=1e-6) and high == pytest.approx(
        results["accuracy"]["high"]
    )
    assert (accuracy.metric_args["examples"], accuracy.metric_args["failed"], accuracy.metric_args["labels"]) == (
        6,
        0,
        6,
    )
    assert (accuracy.source_url, accuracy.source_name) == ("https://example.org/run", "vlmkit 0.1.0")
    assert top5.metric_type == "top_5_accuracy"
    printed = vlmkit_here("hf", "card", "run", "--url", "https://example.org/run").stdout
    assert printed == (tmp_path / "README.md").read_text()


def test_merging_keeps_the_card_and_replaces_what_is_measured_again(run, vlmkit_here, tmp_path):
    run()
    card = tmp_path / "README.md"
    other = hub.EvalResult("image-classification", "cifar10", "CIFAR-10", "accuracy", 0.5, metric_name="Accuracy")
    data = hub.ModelCardData(license="mit", model_name="mine", eval_results=[other], tags=["colour"])
    card.write_text(f"---\n{data.to_yaml()}\n---\n# Mine\n\nText that stays.\n")
    assert "is there already; --merge adds" in vlmkit_here("hf", "card", "run", "--output", "README.md").stderr
    for _ in range(2):
        done = vlmkit_here("hf", "card", "run", "--output", "README.md", "--merge")
        assert done.returncode == 0, done.stderr
    merged = hub.ModelCard.load(card)
    assert merged.text.strip() == "# Mine\n\nText that stays."
    assert (merged.data.license, merged.data.tags, merged.data.model_name) == ("mit", ["colour"], "mine")
    assert [result.dataset_type for result in merged.data.eval_results] == ["cifar10", *["colours.parquet"] * 2]
    assert merged.data.eval_results[0] == other
    card.write_text("# No metadata\n")
    vlmkit_here("hf", "card", "run", "--output", "README.md", "--merge", "--model", "me/colours")
    assert hub.ModelCard.load(card).data.model_name == "me/colours"
    for broken in ("model-index:\n- name: broken", "tags: [one"):
        card.write_text(f"---\n{broken}\n---\n")
        refused = vlmkit_here("hf", "card", "run", "--output", "README.md", "--merge")
        assert refused.returncode == 2 and "the metadata of the card is broken" in refused.stderr


def test_eval_results_survive_the_parser_of_the_hub(run, vlmkit_here):
    run()
    assert "no data set of the Hub; give its id" in vlmkit_here("hf", "card", "run", "--eval-results").stderr
    text = vlmkit_here("hf", "card", "run", "--eval-results", "--dataset", "some/colours").stdout
    (entry,) = hub.parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.task_id) == ("some/colours", "default")
    assert entry.value == pytest.approx(5 / 6, abs=1e-6) and entry.source_url is None
    assert entry.notes.startswith("Accuracy (whole, 6 labels), 95 % interval 0.4365 to")


def test_what_is_not_for_reporting_is_refused(run, vlmkit_here, tmp_path):
    limited = run("--limit", "3", output="limited")
    refused = vlmkit_here("hf", "card", "limited")
    assert refused.returncode == 2 and "was limited to 3 examples; run it without --limit" in refused.stderr
    (result, _) = yaml.safe_load(vlmkit_here("hf", "card", "limited", "--partial").stdout.strip("-\n"))["model-index"][
        0
    ]["results"][0]["metrics"]
    assert (result["args"]["limit"], result["args"]["examples"]) == (3, 3)

    path = limited / "results.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps({**results, "status": "cancelled", "limit": None}))
    assert "ended as cancelled; the same vlmkit run goes on" in vlmkit_here("hf", "card", "limited").stderr
    path.unlink()
    assert "run limited is unfinished" in vlmkit_here("hf", "card", "limited", "--partial").stderr
    assert "holds no run" in vlmkit_here("hf", "card", ".").stderr
    assert "--merge adds to a card" in vlmkit_here("hf", "card", "limited", "--merge").stderr

    few = ("--data", "glyphs:labels=6,images=6", "--labels", "3", "--images", "2", "--seeds", "1", "--output", "few")
    vlmkit_here("bench", "collapse", "scripted", "--strategies", "flat", *few)
    assert "asked over a few labels" in vlmkit_here("hf", "card", "few/flat/3-labels/seed-0").stderr


def test_top5_is_left_out_where_it_says_nothing(run, vlmkit_here):
    run(colours=COLOURS)
    index = yaml.safe_load(vlmkit_here("hf", "card", "run").stdout.strip("-\n"))["model-index"]
    assert [metric["type"] for metric in index[0]["results"][0]["metrics"]] == ["accuracy"]


def test_a_run_without_targets_has_nothing_to_report(vlmkit_here, tmp_path):
    PIL.Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    vlmkit_here("run", "a.png", "--labels", "labels.txt", *MODEL, "--output", "run")
    done = vlmkit_here("hf", "card", "run")
    assert done.returncode == 2 and "holds no accuracy: no target was known" in done.stderr
    vlmkit_here("hierarchy", "questions", "glyphs:labels=6,images=2", "--output", "questions.jsonl")
    vlmkit_here("hierarchy", "eval", "questions.jsonl", "--model", "scripted", "--output", "paths")
    done = vlmkit_here("hf", "card", "paths")
    assert done.returncode == 2 and "run paths holds no accuracy" in done.stderr
