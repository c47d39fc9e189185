"""Rules and dashboards ask for what running services and a real night export."""

from __future__ import annotations

import httpx
import pytest

from flows.night_metrics import metrics_file
from flows.services import SERVICES
from tests.e2e.conftest import Nights
from tests.flows.monitoring import asked_metrics, sample_names
from tests.flows.test_night_metrics import values

pytestmark = pytest.mark.slow

# Of a machine with a GPU, and of the platform's health (tests/flows/test_night_metrics.py), which none of these tests starts.
ELSEWHERE = {"aura_gpu_memory_bytes", "aura_part_up", "aura_database_up", "aura_disk_bytes"}
ELSEWHERE |= {"aura_certificate_end_timestamp_seconds"}
# Of hundreds of answers in a prediction log.
ELSEWHERE.add("aura_drift_psi")


def test_every_metric_that_is_asked_for_is_there(nights: Nights, urls: dict[str, str]) -> None:
    exported = set[str]()
    for name, url in urls.items():
        SERVICES[name].smoke_test(url)
        # An error to be counted; accounts asks who is calling first.
        assert httpx.get(f"{url}/nothing", timeout=60).status_code in (401, 404)
        exported |= sample_names(httpx.get(httpx.URL(url).join("/metrics"), timeout=60).text)
    exported |= sample_names(metrics_file(nights.world.home, "sample").read_text(encoding="utf-8"))
    assert asked_metrics() - exported - ELSEWHERE == set()


def test_a_night_tells_what_it_promoted_and_what_serves(nights: Nights) -> None:
    found = values(metrics_file(nights.world.home, "sample").read_text(encoding="utf-8"))
    assert found["aura_night_problems",] == 0
    assert {key[1]: value for key, value in found.items() if key[0] == "aura_night_promoted"} == dict.fromkeys(
        ("detection", "outfits", "chat"), 0.0
    ), "the third night had nothing new"
    assert {key[1] for key in found if key[0] == "aura_champion_created_timestamp_seconds"} == {
        "detection", "outfits", "chat",
    }  # fmt: skip
    assert found["aura_night_last_success_timestamp_seconds",] == found["aura_night_ended_timestamp_seconds",]
    assert found["aura_index_checked_timestamp_seconds",] >= found["aura_index_created_timestamp_seconds", "1"]
    assert 0.0 not in [value for key, value in found.items() if key[0] == "aura_night_step_ok"]
