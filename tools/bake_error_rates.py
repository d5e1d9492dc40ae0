"""How often the gate is wrong: many made-up pairs of histories of two days whose truth is known.

    make bake-error-rates
    make bake-error-rates ARGS='--seeds 200'

Each line is one truth, most of them exactly at a margin of the gate, where it is hardest to be right: what lies at the
margin must not pass, and has not failed either. Exit status 1 where more than 1 % pass wrongly or more than 5 % fail
wrongly. Writes build/reports/bake-error-rates.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from histories import Noise, Truth, pair
from process_model import bake
from process_model.report import columns

FOLDER = Path(__file__).resolve().parent.parent / "build" / "reports"
MOST_FALSE_PASSES, MOST_FALSE_FAILS = 0.01, 0.05
HOUR = 3600.0
MARGINS = bake.Margins()
SAME = Truth()
CALM = Noise(load=0.05, latency=0.02, memory=0.01, correlation=0.3)
ROUGH = Noise(load=0.1, latency=0.06, memory=0.02, correlation=0.7)


@dataclass(frozen=True)
class Case:
    """Two truths. may_pass, may_fail: whether such a verdict would be right."""

    before: Truth
    after: Truth
    may_pass: bool = False
    may_fail: bool = False


def slower(quantile: str, noise: Noise | None = None) -> Truth:
    return replace(SAME, slower={quantile: 1 + getattr(MARGINS, quantile)}, noise=noise or Noise())


CASES: dict[str, Case] = {
    "nothing changed, calm": Case(replace(SAME, noise=CALM), replace(SAME, noise=CALM), may_pass=True),
    "nothing changed": Case(SAME, SAME, may_pass=True),
    "nothing changed, rough": Case(replace(SAME, noise=ROUGH), replace(SAME, noise=ROUGH), may_pass=True),
    "everything better": Case(
        SAME, replace(SAME, memory=0.6, slower={"p50": 0.9, "p95": 0.8, "p99": 0.7}, errors=0.0002), may_pass=True
    ),
    "memory at the margin": Case(SAME, replace(SAME, memory=1 + MARGINS.memory)),
    "memory at the margin, rough": Case(
        replace(SAME, noise=ROUGH), replace(SAME, noise=ROUGH, memory=1 + MARGINS.memory)
    ),
    "less memory, growth at the margin": Case(SAME, replace(SAME, memory=0.6, growth=MARGINS.memory_growth * 1.2)),
    "p50 at the margin": Case(SAME, slower("p50")),
    "p95 at the margin": Case(SAME, slower("p95")),
    "p99 at the margin": Case(SAME, slower("p99")),
    "p95 at the margin, rough": Case(replace(SAME, noise=ROUGH), slower("p95", ROUGH)),
    "p95 at the margin, at peak alone": Case(
        SAME, replace(SAME, slower_at_peak={"p95": 1 + bake.PEAK_MARGIN * MARGINS.p95})
    ),
    "errors at the margin": Case(SAME, replace(SAME, errors=SAME.errors + MARGINS.errors)),
    "errors at the margin, in bursts": Case(
        replace(SAME, bursts=20), replace(SAME, errors=SAME.errors + MARGINS.errors, bursts=20)
    ),
    "restarts at the margin": Case(SAME, replace(SAME, restarts=SAME.restarts + MARGINS.restarts)),
    "everything at the margin": Case(
        SAME,
        replace(
            SAME,
            memory=1 + MARGINS.memory,
            slower={name: 1 + getattr(MARGINS, name) for name in bake.QUANTILES},
            errors=SAME.errors + MARGINS.errors,
            restarts=SAME.restarts + MARGINS.restarts,
        ),
    ),
    "memory twice the margin": Case(SAME, replace(SAME, memory=1 + 2 * MARGINS.memory), may_fail=True),
    "p95 three times the margin": Case(SAME, replace(SAME, slower={"p95": 1 + 3 * MARGINS.p95}), may_fail=True),
    "errors three times the margin": Case(SAME, replace(SAME, errors=SAME.errors + 3 * MARGINS.errors), may_fail=True),
    "restarts three times the margin": Case(
        SAME, replace(SAME, restarts=SAME.restarts + 3 * MARGINS.restarts), may_fail=True
    ),
}


def verdict(name: str, seed: int) -> str:
    case = CASES[name]
    before, after = pair(case.before, case.after, seed)
    return bake.judge(before, after, SAME.hosts, HOUR, bake.Rules(load=1.0)).verdict


def wrong(case: Case, found: Mapping[str, int], seeds: int) -> bool:
    passes = 0 if case.may_pass else found.get(bake.PASS, 0)
    fails = 0 if case.may_fail else found.get(bake.FAIL, 0)
    return passes / seeds > MOST_FALSE_PASSES or fails / seeds > MOST_FALSE_FAILS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, help="histories of each line")
    seeds = parser.parse_args().seeds
    lines = [["TRUTH", "PASS", "INCONCLUSIVE", "FAIL", "WRONG ARE", ""]]
    results = {}
    bad = []
    with ProcessPoolExecutor() as pool:
        for name, case in CASES.items():
            found = Counter(pool.map(partial(verdict, name), range(seeds), chunksize=20))
            results[name] = dict(found)
            said = [right for right, may in (("pass", case.may_pass), ("fail", case.may_fail)) if not may]
            if wrong(case, found, seeds):
                bad.append(name)
            shares = [f"{found[each] / seeds:.1%}" for each in (bake.PASS, bake.INCONCLUSIVE, bake.FAIL)]
            lines.append([name, *shares, " and ".join(said), "TOO OFTEN" if name in bad else "ok"])
            print(
                f"{name}: {', '.join(f'{share} {count}' for share, count in found.items())}",
                file=sys.stderr,
                flush=True,
            )
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {"seeds": seeds, "margins": vars(MARGINS), "verdicts": results}
    (FOLDER / "bake-error-rates.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print("\n".join(columns(lines)))
    if bad:
        sys.exit(
            f"bake-error-rates: more than {MOST_FALSE_PASSES:.0%} passes or {MOST_FALSE_FAILS:.0%} fails wrong: {bad}"
        )


if __name__ == "__main__":
    main()
