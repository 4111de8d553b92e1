"""How well and how fast Apertium translates here, and what each part of the engine is worth.

Quality: chrF and BLEU (sacrebleu) against `data/mt_reference.tsv`, sentences and references written for this project.
The rules were tuned on its `dev` half and on `data/mt_rules.tsv`; the figures to quote are those of the `test` half, on
which nothing was tuned. None of the sentences stands in the phrase table. "heard" input is what a recogniser would
give: lower case, no punctuation. Both sides of each comparison are the same engine with one part switched off. Into
English, the first reference is the source and the English sentence the only reference; those routes were chosen with
both halves in view, so their figures are not held-out. One author wrote sentences, references and rules: expect less
on other people's sentences. The rule sentences of the last table were written for the rules they test.

Speed: one sentence at a time on warm chains, beside the rival in the same run: one `apertium` process per sentence.

`python benchmarks/mt.py [--json FILE] [--quick]`; needs the Apertium pairs, and sacrebleu.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import sacrebleu
from strict_json import strict

from ml.engines.apertium import Apertium, ApertiumOptions, version
from ml.engines.phrases import PhraseTable
from ml.engines.preedit_en import RULES
from ml.engines.routes import MEASURED
from ml.types import Translation

DATA = Path(__file__).parent / "data"
PIVOT = ("en", "ca", "es")
DIRECT = {("en", "es"): MEASURED["en", "es"]}
CHRF, BLEU = sacrebleu.CHRF(), sacrebleu.BLEU()

Row = Mapping[str, str]


def read(name: str) -> list[Row]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


def heard(text: str) -> str:
    """A sentence as a recogniser would give it."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split())


def score(hypotheses: list[str], rows: list[Row], target: str) -> dict[str, float]:
    references = [row[target].split(" || ") for row in rows]
    most = max(map(len, references))
    columns = [[known[at] if at < len(known) else None for known in references] for at in range(most)]
    return {
        "chrf": round(CHRF.corpus_score(hypotheses, columns).score, 1),
        "bleu": round(BLEU.corpus_score(hypotheses, columns).score, 1),
    }


def translated(
    options: ApertiumOptions, rows: list[Row], target: str, change: Callable[[str], str]
) -> tuple[list[Translation], tuple[str, ...]]:
    engine = Apertium(options, PhraseTable())
    try:
        route = engine.prepare("en", target)
        return [engine.translate(change(row["en"]), "en", target) for row in rows], route
    finally:
        engine.close()


def measure(
    name: str, options: ApertiumOptions, rows: list[Row], target: str, change: Callable[[str], str] = str
) -> dict[str, object]:
    said, route = translated(options, rows, target, change)
    words = sum(len(row["en"].split()) for row in rows)
    result = {
        "what": name,
        "target": target,
        "route": "-".join(route),
        "input": "heard" if change is heard else "written",
        "sentences": len(rows),
        **score([one.text for one in said], rows, target),
        "unknown_per_100_words": round(100 * sum(len(one.unknown) for one in said) / words, 2),
    }
    print(
        f"{name:34} {result['route']:9} {result['input']:8} n={len(rows):3} "
        f"chrF {result['chrf']:5} BLEU {result['bleu']:5}  unknown/100 words {result['unknown_per_100_words']}"
    )
    return result


def quality(half: str, rows: list[Row]) -> list[dict[str, object]]:
    rows = [row for row in rows if row["split"] == half]
    print(f"\nQuality, {half} half, phrase table off (none of the sentences is in it)")
    no_phrases = {"phrases": False}
    bare = {**no_phrases, "preedit": False, "amend": False}
    found = []
    for change in (str, heard):
        for label, measured in (("via Catalan", None), ("direct", DIRECT)):
            found += [
                measure(
                    f"{label}: Apertium as it comes", ApertiumOptions(measured=measured, **bare), rows, "es", change
                ),
                measure(
                    f"{label}: + amendments to the chain",
                    ApertiumOptions(measured=measured, preedit=False, **no_phrases),
                    rows,
                    "es",
                    change,
                ),
                measure(
                    f"{label}: + re-wording only",
                    ApertiumOptions(measured=measured, amend=False, **no_phrases),
                    rows,
                    "es",
                    change,
                ),
                measure(f"{label}: both", ApertiumOptions(measured=measured, **no_phrases), rows, "es", change),
            ]
    for target in ("fr", "it", "pt", "ca"):
        these = [row for row in rows if row[target]]
        found.append(measure("Apertium as it comes", ApertiumOptions(**bare), these, target))
        found.append(measure("whole engine", ApertiumOptions(**no_phrases), these, target))
        found.append(measure("whole engine", ApertiumOptions(**no_phrases), these, target, heard))
    return found


OTHER_ROUTES = """
    en-es-ca en-es-ca-fr en-es-ca-it en-es-ca-pt
    es-en es-ca-en ca-en ca-es-en fr-ca-en fr-ca-es-en it-ca-en it-ca-es-en pt-ca-en pt-ca-es-en
"""


def other_routes(rows: list[Row]) -> list[dict[str, object]]:
    """Routes that are not the default, and the ways into English; each is forced by being the only measured one."""
    print("\nOther routes, test half")
    rows = [row for row in rows if row["split"] == "test"]
    found = []
    for route in OTHER_ROUTES.split():
        path = tuple(route.split("-"))
        these = [row for row in rows if row[path[0]] and row[path[-1]]]
        engine = Apertium(ApertiumOptions(measured={path: 1.0}, phrases=False), PhraseTable())
        if engine.prepare(path[0], path[-1]) != path:
            raise SystemExit(f"The pairs of {route} are not installed.")
        said = [engine.translate(row[path[0]].split(" || ")[0], path[0], path[-1]).text for row in these]
        engine.close()
        figures = score(said, these, path[-1])
        print(f"  {route:14} n={len(these):3} chrF {figures['chrf']:5} BLEU {figures['bleu']:5}")
        found.append({"route": route, "sentences": len(these), **figures})
    return found


def by_kind(rows: list[Row]) -> dict[str, dict[str, float]]:
    rows = [row for row in rows if row["split"] == "test"]
    said, _ = translated(ApertiumOptions(phrases=False), rows, "es", str)
    found = {}
    print("\nSpanish by kind of sentence, test half")
    for kind in dict.fromkeys(row["kind"] for row in rows):
        chosen = [at for at, row in enumerate(rows) if row["kind"] == kind]
        found[kind] = score([said[at].text for at in chosen], [rows[at] for at in chosen], "es")
        print(f"  {kind:10} n={len(chosen):3} chrF {found[kind]['chrf']:5} BLEU {found[kind]['bleu']:5}")
    return found


def ablation(rows: list[Row]) -> dict[str, float]:
    """What chrF loses on the rules' own sentences when one re-wording rule is left out."""
    import ml.engines.apertium as engine_module
    from ml.engines.preedit_en import prepare

    rows = rows + [row for row in read("mt_reference.tsv") if row["split"] == "dev"]
    options = ApertiumOptions(phrases=False)
    whole = score([one.text for one in translated(options, rows, "es", str)[0]], rows, "es")["chrf"]
    print(f"\nRe-wording rules left out one by one, {len(rows)} development sentences, all rules: chrF {whole}")
    found = {}
    for rule in RULES:
        engine_module.prepare = lambda text, name=rule.name: prepare(text, without={name})
        found[rule.name] = round(
            score([one.text for one in translated(options, rows, "es", str)[0]], rows, "es")["chrf"] - whole, 2
        )
        print(f"  without {rule.name:14} {found[rule.name]:+.2f}")
    engine_module.prepare = prepare
    return found


def quantiles(seconds: list[float]) -> dict[str, float]:
    cut = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50_ms": round(1000 * statistics.median(seconds), 2), "p95_ms": round(1000 * cut[18], 2)}


def latency(rows: list[Row], rounds: int, rivals: int) -> dict[str, object]:
    """Warm chains beside one `apertium` per sentence, alternating."""
    engine = Apertium(ApertiumOptions(phrases=False), PhraseTable())
    began = time.perf_counter()
    engine.prepare("en", "es")
    start = time.perf_counter() - began
    ours: list[float] = []
    cpu: list[float] = []
    theirs: list[float] = []
    texts = [row["en"] for row in rows]
    for _ in range(rounds):
        for text in texts:
            began = time.perf_counter()
            engine.translate(text, "en", "es")
            ours.append(time.perf_counter() - began)
    children = [psutil.Process(pid) for pid in engine.pids()]
    before = sum(sum(child.cpu_times()[:2]) for child in children) + time.process_time()
    for _ in range(10):
        for text in texts:
            engine.translate(text, "en", "es")
    cpu.append((sum(sum(child.cpu_times()[:2]) for child in children) + time.process_time() - before) / 10 / len(texts))
    for text in texts[:rivals]:
        began = time.perf_counter()
        once = subprocess.run(["apertium", "eng-cat"], input=text, capture_output=True, text=True, check=True).stdout
        subprocess.run(["apertium", "cat-spa"], input=once, capture_output=True, text=True, check=True)
        theirs.append(time.perf_counter() - began)
    pss = sum(child.memory_full_info().pss for child in children) / 2**20
    engine.close()
    table = PhraseTable()
    began = time.perf_counter()
    table.rows()
    loading = time.perf_counter() - began
    found = {
        "persistent": quantiles(ours),
        "cpu_ms_per_sentence": round(1000 * cpu[0], 2),
        "one_process_per_sentence": quantiles(theirs),
        "ratio_p50": round(statistics.median(theirs) / statistics.median(ours), 1),
        "start_s": round(start, 2),
        "processes": len(children),
        "pss_mib": round(pss),
        "phrase_table_load_ms": round(1000 * loading, 1),
    }
    print("\nSpeed, en-ca-es")
    for name, value in found.items():
        print(f"  {name:26} {value}")
    return found


def trust(rows: list[Row]) -> dict[str, float]:
    """How far `confidence` follows sentence chrF. Its level says nothing: the route was measured on this half.

    What could say something is the rank correlation over sentences, and it exists only where confidence varies.
    """
    rows = [row for row in rows if row["split"] == "test"]
    said, _ = translated(ApertiumOptions(phrases=False), rows, "es", str)
    each = [CHRF.sentence_score(one.text, row["es"].split(" || ")).score for one, row in zip(said, rows, strict=True)]
    found = {
        "mean_confidence": round(statistics.fmean(one.confidence for one in said), 3),
        "mean_sentence_chrf": round(statistics.fmean(each), 1),
        "distinct_confidences": len({round(one.confidence, 4) for one in said}),
    }
    print(f"\nConfidence, test half: {found}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="no ablation, fewer timings")
    arguments = parser.parse_args()
    rows = read("mt_reference.tsv")
    print(version())
    CHRF.corpus_score(["a"], [["a"]])
    BLEU.corpus_score(["a"], [["a"]])
    report: dict[str, object] = {"version": version()}
    report["test"] = quality("test", rows)
    report["dev"] = quality("dev", rows)
    report["other_routes"] = other_routes(rows)
    report["kinds"] = by_kind(rows)
    report["confidence"] = trust(rows)
    report["latency"] = latency(rows, 1 if arguments.quick else 5, 5 if arguments.quick else 20)
    if not arguments.quick:
        report["ablation"] = ablation(read("mt_rules.tsv"))
    report["signatures"] = {"chrf": str(CHRF.get_signature()), "bleu": str(BLEU.get_signature())}
    print(f"\nSignatures: {report['signatures']}")
    if arguments.json:
        arguments.json.write_text(strict(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
