"""What a service and its runner count between them, whatever happens to a request."""

from __future__ import annotations

import time

import pytest
from prometheus_client import REGISTRY

from bentos.serving.messages import ReleaseVersions, RunnerRequest
from bentos.serving.runner_metrics import inference, note_versions, sent_to_runner


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def depth(method: str) -> float:
    return value("aura_queue_depth", method=method)


def test_a_request_waits_from_its_sending_until_the_runner_begins() -> None:
    with sent_to_runner("depth"), sent_to_runner("depth"):
        assert depth("depth") == 2
        with inference("depth", [RunnerRequest()]):
            assert depth("depth") == 1
        assert depth("depth") == 2, "its answer is on its way"
    assert depth("depth") == 0


def test_a_batch_that_fails_leaves_nothing_behind() -> None:
    with pytest.raises(ValueError, match="broken"), sent_to_runner("fails"):
        with inference("fails", [RunnerRequest()]):
            raise ValueError("broken")
    assert depth("fails") == 0
    assert value("aura_inference_seconds_count", method="fails") == 1


def test_a_batch_is_counted_once_and_each_request_waits_for_itself() -> None:
    now = time.time()
    requests = [RunnerRequest(sent_at=now - seconds) for seconds in (100, 10)]
    requests.append(RunnerRequest(sent_at=now + 100))  # a clock that was set back meanwhile
    with inference("batch", requests):
        pass
    assert value("aura_batch_size_sum", method="batch") == 3
    assert value("aura_batch_size_count", method="batch") == 1
    assert value("aura_queue_seconds_count", method="batch") == 3
    assert 110 <= value("aura_queue_seconds_sum", method="batch") < 200


def test_only_the_release_that_answers_has_a_one() -> None:
    def shown(release: str, name: str, version: str) -> float | None:
        labels = {"release": release, "name": name, "version": version}
        return REGISTRY.get_sample_value("aura_release_info", labels)

    one = ReleaseVersions(id="r1", versions={"detection": "1", "index": "7"})
    note_versions(one)
    note_versions(ReleaseVersions(id="r2", versions={"detection": "2", "index": "7"}))
    assert (shown("r1", "detection", "1"), shown("r1", "index", "7")) == (0, 0)
    assert (shown("r2", "detection", "2"), shown("r2", "index", "7")) == (1, 1)
    note_versions(one)
    assert (shown("r1", "detection", "1"), shown("r2", "detection", "2")) == (1, 0)


@pytest.mark.gpu
def test_the_memory_of_a_gpu_is_that_of_all_processes() -> None:
    import torch

    held = torch.ones(100_000_000, device="cuda")
    with inference("gpu", [RunnerRequest()]):
        pass
    used, total = (value("aura_gpu_memory_bytes", device="0", kind=kind) for kind in ("used", "total"))
    assert held.element_size() * held.numel() < used < total
