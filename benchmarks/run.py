"""Measure speed and memory against peers and limits: ``python benchmarks/run.py [--quick] [--only NAME]``.

Prints the figures and writes them with the facts of the machine. Nothing here passes or fails: a limit that is missed
is shown as missed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import machine
from cases import CASES, scale_of, section
from inputs import KEPT

_RESULTS = Path(__file__).with_name("results.json")


def _arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs, one run, no waiting: a smoke test")
    parser.add_argument("--only", choices=sorted(CASES), help="run one case; the figures of the others are kept")
    parser.add_argument("--inputs", type=Path, default=KEPT, help="where inputs are kept (20 GB at full scale)")
    parser.add_argument("--output", type=Path, help="where to write the figures (default: results.json here)")
    return parser.parse_args()


def _kept(path: Path, facts: dict[str, object]) -> dict[str, Any]:
    """Return the sections of an earlier run on the same machine with the same versions."""
    if not path.exists():
        return {}
    earlier = json.loads(path.read_text(encoding="utf-8"))
    return dict(earlier["sections"]) if earlier["machine"] == facts else {}


def _verdict(ratio: dict[str, float]) -> str:
    """Say how a ratio stands to its limit."""
    if "at_most" in ratio:
        return f"limit {ratio['at_most']:g}: {'met' if ratio['value'] <= ratio['at_most'] else 'MISSED'}"
    if "at_least" in ratio:
        return f"at least {ratio['at_least']:g}: {'met' if ratio['value'] >= ratio['at_least'] else 'MISSED'}"
    return ""


def _show(name: str, found: dict[str, Any]) -> None:
    """Print one section."""
    print(f"\n{name} (load {found['load_before'][0]} before)")
    for command, usage in found["runs"].items():
        figures = ", ".join(f"{key} {value}" for key, value in usage.items() if key != "title")
        print(f"  {usage.get('title', command)}: {figures}")
    for title, ratio in found["ratios"].items():
        print(f"  {title}: {ratio['value']:g}  {_verdict(ratio)}")


def main() -> None:
    """Run the cases asked for."""
    options = _arguments()
    scale = scale_of(options.inputs, quick=options.quick)
    target = options.output or (options.inputs / "quick.json" if options.quick else _RESULTS)
    facts = machine.facts()
    sections = _kept(target, facts) if options.only else {}
    for name in [options.only] if options.only else CASES:
        sections[name] = section(name, scale)
        _show(name, sections[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": facts, "sections": sections}, indent=2, sort_keys=True)
        target.write_text(text + "\n", encoding="utf-8")
    print(f"\nwritten to {target}")


if __name__ == "__main__":
    main()
