"""The page of faults names tests that exist."""

from __future__ import annotations

import re

from aura.paths import repo_root

_NAME = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?")


def test_every_kind_of_fault_has_a_test_that_is_there() -> None:
    page = (repo_root() / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and not line.startswith("| kind")]
    assert len(rows) > 40
    for row in rows:
        file, named = "", 0
        for path, test in _NAME.findall(row[-1]):
            file = path or file
            if not path and not test:
                continue
            source = (repo_root() / file).read_text(encoding="utf-8")
            assert not test or f"def {test}(" in source, f"{file}::{test}"
            named += 1
        assert named, row[0]
