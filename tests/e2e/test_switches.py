"""Releases change while clients ask: the benchmark of it, small."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.paths import profile_paths
from benchmarks.switch_home import FOLLOWING, copy_home, set_up
from benchmarks.switches import PROFILE, measure
from flows.processes import free_port
from flows.profile import load_profile
from tests.e2e.conftest import Nights

pytestmark = pytest.mark.slow


def test_switches_under_load_fail_no_request_and_mix_no_releases(
    nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_home(nights.world.home, tmp_path / "home", PROFILE)
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    prepared = set_up(load_profile(PROFILE), profile_paths(PROFILE).index)
    ports = {name: free_port() for name in FOLLOWING}
    result = measure(prepared, ports, tmp_path, switches=5, clients=4, seconds=30.0)
    kinds = ["promote", "rollback", "index rollback", "broken", "back from broken"]
    assert [switch.kind for switch in result.switches] == kinds
    assert (dict(result.seen.failed), result.seen.unknown, result.ended) == ({}, 0, 0)
    assert result.seen.mixed(result.releases) == 0
    assert len({number for _, number, _ in result.seen.told}) > 1
