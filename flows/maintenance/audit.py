"""Known vulnerabilities of the installed packages, as `pip-audit` finds them in PyPI's advisories.

It is no dependency: an operator installs it once (`pipx install pip-audit`). Fetching and running it anew each week would run
code of the day beside the keys.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from typing import Any

_SECONDS = 600.0


def audit(program: str = "pip-audit") -> tuple[str, list[str]]:
    """A sentence that says what was found, or why nothing was looked for; and a line per vulnerability.

    Args:
        program: name or path of `pip-audit`.
    """
    found = shutil.which(program)
    packages = sysconfig.get_path("purelib")
    if found is None:
        return f"not asked: pip-audit is not installed (by hand: uvx pip-audit --path {packages})", []
    command = [found, "--path", packages, "--format", "json", "--desc", "off", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=_SECONDS,
        )  # fmt: skip
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, TypeError) as error:
        said = "" if isinstance(error, subprocess.TimeoutExpired | OSError) else done.stderr.strip()
        return f"not answered (is there a network?): {(said.splitlines() or [str(error)])[-1].strip()[:300]}", []
    lines = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        + (f", mended in {', '.join(vulnerability['fix_versions'])}" if vulnerability["fix_versions"] else "")
        for package in dependencies
        for vulnerability in package.get("vulns", ())
    ]
    skipped = sum("skip_reason" in package for package in dependencies)
    return (
        f"{len(dependencies) - skipped} packages asked for, {skipped} not on PyPI, {len(lines)} known vulnerabilities",
        lines,
    )
