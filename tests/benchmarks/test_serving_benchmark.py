"""The benchmark of the services under load: what an overload may do to a service."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.serving import overload_rules, page

USUAL = {"per_second": 100.0, "p50_ms": 90.0, "p99_ms": 200.0, "failed": 0, "cpu_ms": 10.0}
FOUND: dict[str, Any] = {
    "before": USUAL, "during": USUAL | {"p50_ms": 180.0, "p99_ms": 400.0}, "after": USUAL | {"per_second": 90.0},
    "hasty": USUAL, "seconds": 60.0, "refused": 7, "other": 0, "without_retry": 0, "memory_mb": [1000.0, 1100.0], "ended": 0,
}  # fmt: skip


def test_an_overload_may_refuse_and_delay_and_nothing_else() -> None:
    assert all(holds for _, _, holds in overload_rules(FOUND))


@pytest.mark.parametrize(
    "worse",
    [
        {"ended": 1}, {"memory_mb": [1000.0, 1101.0]}, {"without_retry": 1}, {"other": 1},
        {"during": USUAL | {"p50_ms": 181.0}}, {"during": USUAL | {"p99_ms": 401.0}},
        {"after": USUAL | {"per_second": 89.0}},
    ],
)  # fmt: skip
def test_one_thing_that_does_not_hold_is_told(worse: dict[str, Any]) -> None:
    assert [holds for _, _, holds in overload_rules(FOUND | worse)].count(False) == 1
    written = page({"overload": {"measured": [], "overload": FOUND | worse, "machine": "2 cores", "rounds": "60 s"}})
    assert written.count("| no |") == 1
