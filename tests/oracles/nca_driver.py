"""Run by the interpreter that has network-config-analyzer: manifests in, allowed connections out, one line each.

It calls the tool's command line with a file for its report, many times in one process; nothing of ours is imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path


def analyze(manifests: str, messages: io.StringIO) -> dict[str, str]:
    """Return the report for manifests, or what the tool said where it made none."""
    from nca.nca_cli import nca_main

    messages.seek(0)
    messages.truncate()
    with tempfile.TemporaryDirectory() as name:
        folder, report = Path(name) / "in", Path(name) / "report.txt"
        folder.mkdir()
        (folder / "all.yaml").write_text(manifests, encoding="utf-8")
        lists = [word for option in ("--connectivity", "-n", "-p") for word in (option, str(folder))]
        formats = ["-o", "txt_no_fw_rules", "--output_endpoints", "pods", "-f", str(report)]
        with contextlib.redirect_stdout(io.StringIO()):
            code = nca_main([*lists, *formats])
        if code or not report.exists():
            return {"error": messages.getvalue() or f"exit code {code}"}
        return {"report": report.read_text(encoding="utf-8"), "messages": messages.getvalue()}


def main() -> None:
    """Answer line by line until the input ends."""
    # The tool takes hold of the error stream when it is imported.
    messages = sys.stderr = io.StringIO()
    for line in sys.stdin:
        try:
            answer = analyze(json.loads(line), messages)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is the answer
            answer = {"error": f"{error!r} {messages.getvalue()}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
