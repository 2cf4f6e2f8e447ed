"""
Damaged, hostile and nonsensical files against everything that reads one.

::

    python benchmarks/fuzz.py --cases 10000 --minutes 60 --output benchmarks/results/reliability/fuzz.json
    python benchmarks/fuzz.py --first 4711 --cases 1 --verbose      # one case again

Case k of a seed is always the same: a kind of file, one file of it, and a damage: raw (a flipped bit, zeros, a cut,
junk) or by someone who knows the format and seals it again (members swapped or missing, lying headers, nesting, bombs,
NaN, huge numbers, other kinds, pickles of code). ``--every-byte`` adds a cut at each byte of each file under 4,000
bytes.
Cases run in a process of their own with limits on memory and time; what ends it is a crash, and the next one goes on.

Good is an error of the ``SimplError`` tree, or a file that is read and works. Bad is anything else: a foreign error,
more than a gigabyte, ten seconds, a crash, code that ran, and a sealed file that is read although its bytes are others.
"""

import argparse
import collections
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

BAD = ("foreign", "silent", "not finite", "memory", "slow", "crash", "hang", "code ran")
MEMORY = 1 << 30  # bytes beyond what the libraries take
SECONDS = 10.0  # of computing, per case
HANGING = 60  # seconds of computing, after which the system ends the process: not even Python's timer is heard
PATIENCE = 1800.0  # wall-clock seconds: a process that says nothing for so long waits for something
SMALL = 4_000  # bytes: cut at each of them


class TooSlowError(BaseException):
    """More computing than a case may take; no ``except Exception`` swallows it."""


# ------------------------------------------------------------ the process that reads


class Reader:
    """
    Runs cases, each on fresh files in a scratch folder.

    :param corpus: a folder per kind, as :func:`make_corpus` left it
    :param seed: of all cases
    """

    def __init__(self, corpus: Path, seed: int) -> None:
        from fuzz_files import FILES, prepare

        prepare()
        self.corpus, self.seed, self.kinds = corpus, seed, FILES
        self.files = {kind: sorted(path for path in (corpus / kind).rglob("*") if path.is_file()) for kind in FILES}
        self.canary = Path(os.environ["FUZZ_CANARY"])
        self.scratch = Path(os.environ["FUZZ_SCRATCH"])
        small = [(kind, path) for kind, paths in self.files.items() for path in paths if path.stat().st_size < SMALL]
        self.cuts = [(kind, path, at) for kind, path in small for at in range(path.stat().st_size)]

    def case(self, number: int, every_byte: bool) -> dict[str, Any]:
        """What came of one case."""
        import numpy as np
        from fuzz_damage import RAW, change_member, one_of

        if every_byte:
            kind, path, at = self.cuts[number]
            return self.run(number, kind, path, "every byte", path.read_bytes()[:at])
        rng = np.random.default_rng([self.seed, number])
        kind = one_of(rng, self.kinds)
        path, content = one_of(rng, self.files[kind]), b""
        damage = one_of(rng, RAW) if rng.random() < 0.35 else "rewritten"
        original = path.read_bytes()
        try:
            content = change_member(path.name, original, rng) if damage == "rewritten" else RAW[damage](original, rng)
            for _ in range(int(rng.integers(3)) if damage == "rewritten" else 0):
                content = change_member(path.name, content, rng)
        except Exception:  # noqa: BLE001 - a change of a change need not be possible
            content = content or RAW["zeros"](original, rng)
        return self.run(number, kind, path, damage, content)

    def run(self, number: int, kind: str, path: Path, damage: str, content: bytes) -> dict[str, Any]:
        """Read and use the files of a kind, one of them with other content."""
        folder = self.scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.corpus / kind, folder)
        changed = folder / path.relative_to(self.corpus / kind)
        same = changed.read_bytes() == content
        changed.write_bytes(content)
        if kind == "rows" and damage == "rewritten" and changed.suffix == ".csv" and number % 2:
            without_hash(changed.with_suffix(".json"))
        started = time.process_time()
        before = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(started) + HANGING, before[1]))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            self.kinds[kind].read(folder)
            outcome, detail = "read", ""
        except BaseException as error:  # noqa: BLE001 - this is what is asked
            outcome, detail = judged(error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            resource.setrlimit(resource.RLIMIT_CPU, before)
        if outcome == "read" and damage != "rewritten" and self.kinds[kind].sealed and not same:
            outcome = "silent"
        if self.canary.exists():
            self.canary.unlink()
            outcome = "code ran"
        result = {"case": number, "kind": kind, "file": path.name, "damage": damage, "outcome": outcome}
        return result | {"detail": detail, "seconds": round(time.process_time() - started, 2)}


def without_hash(description: Path) -> None:
    """As someone leaves it who edits rows by hand."""
    data = json.loads(description.read_bytes())
    description.write_text(json.dumps({name: data[name] for name in data if name not in ("csv_sha256", "seal")}))


def judged(error: BaseException) -> tuple[str, str]:
    """What an error counts as, and how it reads."""
    from fuzz_files import NotFiniteError

    from simpl_sb3.errors import SimplError

    whole = "".join(traceback.format_exception(error))
    if isinstance(error, TooSlowError) or "TooSlowError" in whole:
        return "slow", whole[-1500:]
    if "MemoryError" in whole or "allocate memory" in whole:
        return "memory", whole[-1500:]
    if isinstance(error, SimplError):
        return "refused", f"{type(error).__name__}: {error}"[:300]
    return ("not finite" if isinstance(error, NotFiniteError) else "foreign"), whole[-1500:]


def read_cases(arguments: argparse.Namespace) -> None:
    """The work of a process: one line of JSON per case."""
    reader = Reader(Path(arguments.corpus), arguments.seed)
    signal.signal(signal.SIGPROF, too_slow)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY, MEMORY))
    for number in range(arguments.first, arguments.first + arguments.cases):
        print("#" + json.dumps(reader.case(number, arguments.every_byte)), flush=True)


def too_slow(*_: Any) -> None:
    """What the timer of a case calls."""
    raise TooSlowError


# ------------------------------------------------------------ the process that asks


def make_corpus(folder: Path) -> int:
    """
    Write the small files, in a process of their own.

    :return: how many cuts ``--every-byte`` makes of them
    """
    code = (
        "import sys, pathlib; from fuzz_files import FILES, prepare; prepare()\n"
        "for name, kind in FILES.items():\n"
        "    place = pathlib.Path(sys.argv[1]) / name; place.mkdir(); kind.make(place)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=Path(__file__).parent)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(size for size in sizes if size < SMALL)


def ask(arguments: argparse.Namespace, corpus: Path, every_byte: bool, first: int, end: int, until: float) -> Any:
    """Results of the cases from ``first`` to ``end``; a process that crashes or hangs is replaced."""
    while first < end and time.monotonic() < until:
        command = [sys.executable, __file__, "--corpus", str(corpus), "--seed", str(arguments.seed)]
        command += ["--first", str(first), "--cases", str(end - first), *(["--every-byte"] if every_byte else [])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        outcome = "crash"
        while time.monotonic() < until:
            if not selector.select(PATIENCE):
                outcome = "hang"
                break
            line = process.stdout.readline()
            if not line:
                break
            if line.startswith("#"):
                result = json.loads(line[1:])
                first = result["case"] + 1
                yield result
        over = time.monotonic() >= until
        process.kill()
        errors = process.communicate()[1]
        if process.returncode == -signal.SIGXCPU:
            outcome = "hang"
        if first < end and not over:
            detail = f"exit code {process.returncode}: {errors[-500:]}"
            yield {"case": first, "kind": "?", "file": "?", "damage": "?", "outcome": outcome, "detail": detail}
            first += 1


def fuzz(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all cases and count."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    failures: list[dict[str, Any]] = []
    started, until = time.monotonic(), time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        corpus, scratch = Path(folder) / "corpus", Path(folder) / "scratch"
        corpus.mkdir()
        scratch.mkdir()
        os.environ |= {
            "FUZZ_SCRATCH": str(scratch),
            "FUZZ_CANARY": str(Path(folder) / "canary"),
            "OMP_NUM_THREADS": "1",
        }
        n_cuts = make_corpus(corpus)
        parts = [(False, arguments.first, arguments.first + arguments.cases)]
        parts += [(True, 0, n_cuts)] if arguments.every_byte else []
        for every_byte, first, end in parts:
            for result in ask(arguments, corpus, every_byte, first, end, until):
                counts[result["kind"]][result["outcome"]] += 1
                if result["outcome"] in BAD:
                    failures.append(result | {"every_byte": every_byte})
                if arguments.verbose or result["outcome"] in BAD:
                    print(json.dumps(result), file=sys.stderr)
    from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions

    total = collections.Counter[str]()
    for count in counts.values():
        total.update(count)
    return {
        "command": command_line(),
        "seed": arguments.seed,
        "cases": sum(total.values()),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "outcomes": dict(total),
        "by_kind": {kind: dict(sorted(count.items())) for kind, count in sorted(counts.items())},
        "failures": failures[:200],
        "machine": machine(),
        "git": dict(git_revision()),
        "versions": package_versions(),
    }


def main() -> int:
    """0 where all went well, 1 for failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="random cases")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--every-byte", action="store_true", help="also a cut at each byte of each small file")
    parser.add_argument("--output", type=Path, help="where the counts go, as JSON")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    parser.add_argument("--corpus", help=argparse.SUPPRESS)  # set in the process that reads
    arguments = parser.parse_args()
    if arguments.corpus:
        read_cases(arguments)
        return 0
    report = fuzz(arguments)
    text = json.dumps(report, indent=1)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n", encoding="utf-8")
    print(json.dumps({name: report[name] for name in ("cases", "minutes", "outcomes")}))
    return int(any(report["outcomes"].get(bad) for bad in BAD))


if __name__ == "__main__":
    sys.exit(main())
