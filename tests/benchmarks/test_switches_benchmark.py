"""The benchmark of switches: what counts as an answer of mixed releases, and the page."""

from __future__ import annotations

from collections import Counter

from aura.releases import IndexVersion, Release
from benchmarks.switch_load import Seen
from benchmarks.switches import Result, Switch, page

FIRST = Release(number=1, models={"detection": "1", "chat": "1"}, index=IndexVersion(number=4))
SECOND = Release(number=2, models={"detection": "2", "chat": "1"}, index=IndexVersion(number=5))
KNOWN = {"1": FIRST, "2": SECOND}


def told(header: str, number: str, **versions: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return header, number, tuple(sorted(versions.items()))


def test_an_answer_is_of_one_release_or_counts_as_mixed() -> None:
    whole = Seen(
        told=Counter(
            {
                told("1;detection=1;index=4", "1", detection="1", index="4"): 3,
                told("2;chat=1;index=5", "2", chat="1", index="5"): 2,
                told("2;chat=1", "2", chat="1"): 1,
            }
        )
    )
    assert whole.mixed(KNOWN) == 0
    mixed = [
        told("2;detection=1;index=5", "2", detection="1", index="5"),
        told("2;detection=2;index=4", "2", detection="2", index="4"),
        told("1;detection=2;index=5", "2", detection="2", index="5"),
        told("", "2", detection="2", index="5"),
        told("3;detection=2", "3", detection="2"),
        told(";detection=2", "", detection="2"),
    ]
    assert Seen(told=Counter(dict.fromkeys(mixed, 2))).mixed(KNOWN) == 2 * len(mixed)


def test_the_page_says_what_went_wrong_and_how_long_a_switch_takes() -> None:
    seen = Seen(answered=Counter({"chat": 7}), failed=Counter({"analyze 503": 2}), unknown=3, slowest={"chat": 1.25})
    seen.told[told("2;detection=1", "2", detection="1")] = 4
    switches = [Switch(kind="promote", release=FIRST, seconds=seconds) for seconds in (1.0, 2.0, 6.0)]
    result = Result(
        switches=switches, seen=seen, releases=KNOWN, memory_mb={"chat": (900.0, 1200.0, 910.0)}, ended=1, seconds=30.0,
        clients=4,
    )  # fmt: skip
    written = page(result)
    for line in (
        "| promote | 3 | 2.0 | 6.0 |", "| failed requests | 2 |", "| answers of mixed releases | 4 |",
        "| ids that another service did not know | 3 |", "| processes that ended | 1 |", "| chat | 7 | 1.2 |",
        "| chat | 900 | 1200 | 910 |",
    ):  # fmt: skip
        assert line in written
    assert "3 switches in 30 s while 4 clients" in written
