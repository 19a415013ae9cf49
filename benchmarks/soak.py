"""Hard to kill: random SIGKILLs over one run, and broken pictures, label files and manifests through the command line.

    python benchmarks/soak.py

No crash, no example lost or there twice, a reason for every refusal, and bounded memory; the first breach ends the
script with what was seen. The same seed makes the same pictures and files; when a kill falls is left to chance as well.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import PIL.Image

from vlmkit.cli.main import main as vlmkit

MEMORY = 4 * 2**30
"""Most bytes that any of the processes may have held."""

BATCH = 500
"""Pictures of one run."""

RUN = ("--model", "scripted:latency=0.002", "--strategy", "dci:group_size=10", "--in-flight", "4", "--log-samples")
ONE = ("--model", "scripted", "--strategy", "flat", "--in-flight", "4", "--quiet")


class BreachError(click.ClickException):
    """Something that must never happen did."""


def called(*arguments: str | Path) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and what it said on stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code: Any = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            vlmkit([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        err.flush()
    return code, err.buffer.getvalue().decode("utf-8", "replace")


def started(arguments: Sequence[str], *, cold: bool) -> int:
    """Start the command line in a process of its own, from nothing or forked from this one; return its number."""
    if cold:
        return subprocess.Popen([sys.executable, "-m", "vlmkit", *arguments], stdout=subprocess.DEVNULL).pid
    number = os.fork()
    if number == 0:
        code, said = called(*arguments)
        os.write(2, said.encode())
        os._exit(code)
    return number


def records(directory: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a run's predictions."""
    path = directory / "predictions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def checked(directory: Path, known: set[str]) -> set[str]:
    """Return the ids of a run's records.

    Raises:
        BreachError: One of those known is lost, or one is there twice.
    """
    counts = Counter(record["id"] for record in records(directory))
    twice = [name for name, count in counts.items() if count > 1]
    if twice or known - counts.keys():
        raise BreachError(f"examples there twice: {twice}; lost: {sorted(known - counts.keys())}")
    return set(counts)


def killed(number: int, path: Path, grown: float, most: float, rng: random.Random) -> tuple[bool, float]:
    """Kill a process once a file has grown by so many bytes, or after ``most`` seconds without any growth wanted.

    Returns:
        Whether it was killed, and had not ended before; and the seconds until the file grew at all.
    """
    begun, first = time.monotonic(), 0.0
    before = path.stat().st_size if path.exists() else 0
    until = begun + rng.random() * most
    while True:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            if status:
                raise BreachError(f"a process that nobody killed ended with the status {status}")
            return False, first
        size = path.stat().st_size if path.exists() else 0
        if size > before and not first:
            first = time.monotonic() - begun
        if (grown and size - before >= grown) or (not grown and time.monotonic() > until):
            break
        time.sleep(0.0005)
    time.sleep(rng.random() * 0.004)
    os.kill(number, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == -signal.SIGKILL, first


def kill_over_and_over(folder: Path, rng: random.Random, kills: int, examples: int, *, cold: bool) -> dict[str, Any]:
    """Kill one run again and again; hold what it has written in the end against a run that nobody killed."""
    command = ["run", f"glyphs:labels=30,images={examples}", *RUN, "--quiet", "--output"]
    whole, torn = folder / "whole", folder / "torn"
    code, said = called(*command, whole)
    if code:
        raise BreachError(f"the run that nobody killed ended with {code}: {said}")
    each = (whole / "predictions.jsonl").stat().st_size / examples
    known: set[str] = set()
    in_the_midst, startup = 0, 1.0
    for number in range(kills):
        # Half of what is left is left for the last go, however late kills come on a busy machine.
        mean = (examples - len(known)) / (kills - number) / 2
        more = rng.choice((0, 1, 1, 1)) * rng.random() * 2 * mean * each
        process = started([*command, str(torn)], cold=cold)
        was_killed, first = killed(process, torn / "predictions.jsonl", more, startup, rng)
        if not was_killed:
            raise BreachError(f"the run was over after {number} kills; give it more --examples")
        startup = first or startup
        found = checked(torn, known)
        in_the_midst += len(found) > len(known)
        known = found
    code, said = called(*command, torn)
    if code:
        raise BreachError(f"the last go ended with {code}: {said}")
    for name in ("predictions.jsonl", "samples.jsonl"):
        if (torn / name).read_bytes() != (whole / name).read_bytes():
            raise BreachError(f"{name} of the killed run differs from that of the other")
    return {"kills": kills, "that had written records": in_the_midst, "examples": len(checked(torn, known))}


def encoded(rng: random.Random) -> list[bytes]:
    """Return sound pictures in several formats and modes."""
    made = []
    for kind, mode, more in (
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("JPEG", "RGB", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {}),
        ("GIF", "P", {"save_all": True, "append_images": [PIL.Image.new("P", (48, 32), 7)]}),
    ):
        size = (rng.randint(8, 64), rng.randint(8, 64))
        noise = PIL.Image.effect_noise(size, 60)
        picture = PIL.Image.new(mode, size) if mode == "I;16" else noise.convert("RGB").convert(mode)
        stream = io.BytesIO()
        picture.save(stream, kind, **more)
        made.append(stream.getvalue())
    return made


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return bytes with some of them flipped, cut, repeated, zeroed, or spliced with others."""
    broken = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.choices(range(len(broken) + 1), k=2))
        match rng.randrange(6):
            case 0 | 1:
                for _ in range(rng.randint(1, 12)):
                    if broken:
                        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            case 2:
                del broken[at : rng.choice((end, len(broken)))]
            case 3:
                broken[at:at] = broken[at:end]
            case 4:
                broken[at:end] = bytes(end - at)
            case 5:
                broken[at:] = other[rng.randint(0, len(other)) :]
    return bytes(broken)


def break_pictures(folder: Path, rng: random.Random, count: int) -> dict[str, Any]:
    """Run over mutated pictures; every one is solved, or fails by itself with a reason."""
    sound, seen = encoded(rng), Counter[str]()
    (folder / "labels.txt").write_text("cat\ndog\n")
    for first in range(0, count, BATCH):
        names = [f"{index}.{rng.choice(('png', 'jpg', 'webp', 'gif'))}" for index in range(first, first + BATCH)]
        batch, out = folder / "batch", folder / "out"
        batch.mkdir()
        for name in names[: count - first]:
            (batch / name).write_bytes(mutated(rng.choice(sound), rng.choice(sound), rng))
        options = ("--labels", folder / "labels.txt", *ONE, "--fail-on-error=100%", "--output", out)
        code, said = called("run", batch, *options)
        if code:
            raise BreachError(f"a run over broken pictures ended with {code}: {said}")
        if checked(out, set()) != {path.name for path in batch.iterdir()}:
            raise BreachError(f"examples are missing: {batch}")
        for record in records(out):
            error = record["error"] or {"type": "sound", "message": "read all the same"}
            if error["type"] not in ("ImageError", "sound") or not error["message"]:
                raise BreachError(f"picture {record['id']} of {batch} failed with {error}")
            seen[error["message"].removeprefix(f"image {record['id']}: ").split(";")[0].split(" (")[0]] += 1
        shutil.rmtree(batch)
        shutil.rmtree(out)
    return {"pictures": count, "outcomes": dict(seen.most_common())}


def words(rng: random.Random) -> Iterator[str]:
    """Yield names without end: plain ones, foreign ones, and such as no label may be."""
    alphabets = ("abc XYZ", "äßéø", "漢字かな", "🙂🦆‍", "\"',|;{}[]%$\\", "\t\r\n\0\x1b\x7f", "\u202e\ufeff\u2028́")
    while True:
        letters = rng.choice(alphabets) + rng.choice(alphabets)
        yield "".join(rng.choices(letters, k=rng.choice((0, 1, 3, 8, 8, 20, 1100))))


def written(names: Sequence[str], images: Sequence[str], rng: random.Random) -> tuple[str, str, str, str]:
    """Return the suffix and content of a label file, and those of a manifest."""
    rows = [{"image": image, "label": rng.choice((*names, None)), "id": f"{i}"} for i, image in enumerate(images)]
    if rng.random() < 0.2:
        rows[-1]["id"] = "0"
    table, listed = io.StringIO(), io.StringIO()
    csv.writer(table).writerows([["name"], *([name] for name in names)])
    sheet = csv.DictWriter(listed, ["image", "label", "id"])
    sheet.writeheader()
    sheet.writerows(rows)
    objects: list[Any] = [rng.choice((name, {"name": name}, {"name": name, "synonyms": [name]}, 3)) for name in names]
    texts = (("txt", "\n".join(names)), ("csv", table.getvalue()), ("json", json.dumps(objects)))
    labels = rng.choice((*texts, ("json", json.dumps(names))))
    data = rng.choice((("csv", listed.getvalue()), ("jsonl", "\n".join(json.dumps(row) for row in rows))))
    return (*labels, *data)


def break_words(folder: Path, rng: random.Random, count: int) -> dict[str, Any]:
    """Run over generated label files and manifests; each is taken, or refused in one line."""
    PIL.Image.new("RGB", (8, 8), "red").save(folder / "sound.png")
    source, codes, reasons = words(rng), Counter[int](), Counter[str]()
    for _ in range(count):
        plain = [f"name {index}" for index in range(3)]
        names = [next(source) if rng.random() < 0.2 else name for name in plain]
        images = [rng.choice(("sound.png", "sound.png", "sound.png", next(source))) for _ in range(rng.randint(1, 3))]
        kind, labels, form, data = written(names, images, rng)
        paths = folder / f"labels.{kind}", folder / f"data.{form}"
        for path, text in zip(paths, (labels, data), strict=True):
            content = text.encode("utf-8", "surrogatepass")
            path.write_bytes(mutated(content, content, rng) if rng.random() < 0.2 else content)
        out = folder / "out"
        code, said = called("run", paths[1], "--labels", paths[0], *ONE, "--output", out)
        lines = said.splitlines()
        codes[code] += 1
        if code == 2:
            if not lines[-1].startswith("error: ") or not all(line.startswith("warning: ") for line in lines[:-1]):
                raise BreachError(f"a refusal is not one line: {said!r}")
            reasons[lines[-1].rsplit(": ", 1)[-1].partition(";")[0][:60]] += 1
        elif code in (0, 1):
            total = json.loads((out / "results.json").read_text())["n"]["total"]
            if len(checked(out, set())) != total:
                raise BreachError(f"{total} examples and {len(records(out))} records: {paths[1].read_bytes()!r}")
        else:
            raise BreachError(f"the exit code {code}: {said}")
        shutil.rmtree(out, ignore_errors=True)
        for path in paths:
            path.unlink()
    return {"files": count, "exit codes": dict(codes), "different reasons": len(reasons)}


@click.command()
@click.option("--kills", default=200, show_default=True, help="SIGKILLs over one run.")
@click.option("--examples", default=2_000, show_default=True, help="Examples of that run.")
@click.option("--cold", is_flag=True, help="Start each process from nothing, which takes a second of its own.")
@click.option("--pictures", default=10_000, show_default=True, help="Mutated pictures.")
@click.option("--words", "files", default=10_000, show_default=True, help="Label files with manifests.")
@click.option("--seed", default=0, show_default=True, help="Seed of pictures, files and moments.")
def main(kills: int, examples: int, cold: bool, pictures: int, files: int, seed: int) -> None:
    """Try to break runs; print what was tried as JSON, one line for each part."""
    with TemporaryDirectory() as folder:
        for number, part in enumerate(
            (
                lambda path, rng: kill_over_and_over(path, rng, kills, examples, cold=cold),
                lambda path, rng: break_pictures(path, rng, pictures),
                lambda path, rng: break_words(path, rng, files),
            )
        ):
            path, begun, spent = Path(folder) / str(number), time.monotonic(), time.process_time()
            path.mkdir()
            found = part(path, random.Random(f"{seed} {number}"))
            most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            if most * 1024 > MEMORY:
                raise BreachError(f"{most / 2**20:.1f} GiB of memory were held")
            times = {"seconds": round(time.monotonic() - begun), "here on the CPU": round(time.process_time() - spent)}
            click.echo(json.dumps({**found, "most MiB": most // 1024, **times}, ensure_ascii=False))


if __name__ == "__main__":
    main()
