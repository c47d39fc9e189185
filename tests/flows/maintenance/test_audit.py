"""What `pip-audit` says, and what is said when it says nothing. A program stands for PyPI, beyond the machine's edge."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from flows.maintenance.audit import audit

_FOUND = {
    "dependencies": [
        {"name": "flask", "version": "0.5", "vulns": [
            {"id": "PYSEC-2019-179", "fix_versions": ["1.0"], "aliases": []},
            {"id": "PYSEC-2018-66", "fix_versions": [], "aliases": []},
        ]},
        {"name": "jinja2", "version": "3.1.6", "vulns": []},
        {"name": "aura-ai-platform", "skip_reason": "Dependency not found on PyPI"},
    ],
    "fixes": [],
}  # fmt: skip


def program(folder: Path, says: str, *, to: str = "stdout", code: int = 0) -> str:
    """A program that takes the options of pip-audit, and looks for nothing."""
    file = folder / "pip-audit"
    file.write_text(
        f"#!{sys.executable}\nimport argparse, sys\nparser = argparse.ArgumentParser()\n"
        "for name in ('--path', '--format', '--desc', '--progress-spinner'): parser.add_argument(name, required=True)\n"
        f"parser.parse_args()\nprint({says!r}, file=sys.{to})\nsys.exit({code})\n"
    )
    file.chmod(0o755)
    return str(file)


def test_each_vulnerability_is_a_line_with_the_version_that_mends_it(tmp_path: Path) -> None:
    told, lines = audit(program(tmp_path, json.dumps(_FOUND), code=1))
    assert told == "2 packages asked for, 1 not on PyPI, 2 known vulnerabilities"
    assert lines == ["flask 0.5: PYSEC-2019-179, mended in 1.0", "flask 0.5: PYSEC-2018-66"]


def test_without_a_network_one_sentence_says_so(tmp_path: Path) -> None:
    trace = "Traceback\n  requests.exceptions.ConnectionError: pypi.org: no route"
    told, lines = audit(program(tmp_path, trace, to="stderr", code=1))
    assert told == "not answered (is there a network?): requests.exceptions.ConnectionError: pypi.org: no route"
    assert lines == []


def test_without_the_program_the_sentence_says_how(tmp_path: Path) -> None:
    told, lines = audit(str(tmp_path / "none"))
    assert "pip-audit is not installed" in told
    assert "uvx pip-audit --path" in told
    assert lines == []
