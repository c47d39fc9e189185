"""A gateway that asks a name server for its upstreams, as before containers: replicas come and go while it runs."""

from __future__ import annotations

import os
import signal
import time

import pytest

from aura.errors import SettingsError
from flows.processes import free_port
from flows.profile import load_profile
from flows.services import SERVICES
from tests.flows.gateway.conftest import HANG_SECONDS, Gateway, Processes, Start
from tests.flows.gateway.name_server import NameServer
from tests.flows.gateway.test_routes import ADMIN, error_of

READ = "/api/v1/visual-analysis/items"
TOOLS = ("mlflow", "prefect", "grafana", "platform_health")


def _started(start: Start, names: NameServer, port: int) -> Gateway:
    """A gateway whose upstreams are names, all on one port."""
    services = ",".join(f"{name}: ['{name}.test:{port}']" for name in SERVICES)
    tools = [f"gateway.{name}={name}.test:{port}" for name in TOOLS]
    limits = ("gateway.requests=100000/second", "gateway.requests_at_once=100000")
    return start(f"gateway.resolver={names.address}", f"gateway.upstreams={{{services}}}", *tools, *limits, backends={})


def _until_all_answer(gateway: Gateway, names: set[str]) -> None:
    limit, seen = time.monotonic() + HANG_SECONDS, set[object]()
    while seen != names:
        assert time.monotonic() < limit, seen
        answers = [gateway.client.get(READ) for _ in range(6)]  # a busy machine's name server may answer too late
        seen = {answer.json().get("name", answer.text) for answer in answers}


def test_replicas_come_and_go_under_one_name(start: Start, processes: Processes) -> None:
    port = free_port()
    first = processes.backend("first", port, "127.0.0.2")
    addresses = {f"{name}.test": ["127.0.0.2"] for name in (*SERVICES, *TOOLS)}
    with NameServer(addresses) as names:
        gateway = _started(start, names, port)
        _until_all_answer(gateway, {"first"})
        processes.backend("second", port, "127.0.0.3")
        processes.backend("third", port, "127.0.0.4")
        addresses["visual_analysis.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        _until_all_answer(gateway, {"first", "second", "third"})
        os.killpg(first.pid, signal.SIGKILL)  # before the name server knows
        assert {gateway.seen(READ)["name"] for _ in range(12)} == {"second", "third"}
        addresses["visual_analysis.test"] = ["127.0.0.4"]
        _until_all_answer(gateway, {"third"})


def test_every_upstream_is_asked_at_the_path_that_it_knows(start: Start, processes: Processes) -> None:
    port = free_port()
    processes.backend("shared", port)
    with NameServer({f"{name}.test": ["127.0.0.1"] for name in (*SERVICES, *TOOLS)}) as names:
        gateway = _started(start, names, port)
        for service in SERVICES.values():
            path = f"{service.path}/things/a%2Fb?x=1%202"
            assert gateway.seen(path)["path"] == path
        tools = {
            "/mlflow/api/x?y=1": "/api/x?y=1", "/prefect/api/flows": "/api/flows", "/prefect/runs": "/prefect/runs",
            "/grafana/d/night": "/grafana/d/night",
        }  # fmt: skip
        for asked, arrived in tools.items():
            assert gateway.seen(asked, headers=ADMIN)["path"] == arrived
        error_of(gateway.client.get("/mlflow/"), 401, "unauthenticated")


def test_a_name_that_nobody_has_yet_is_no_reason_not_to_start(start: Start, processes: Processes) -> None:
    port = free_port()
    processes.backend("shared", port)
    addresses = {f"{name}.test": ["127.0.0.1"] for name in TOOLS}
    with NameServer(addresses) as names:
        gateway = _started(start, names, port)
        error_of(gateway.client.get(READ), 502, "overloaded")
        addresses["visual_analysis.test"] = ["127.0.0.1"]
        limit = time.monotonic() + HANG_SECONDS
        while gateway.client.get(READ).status_code != 200:
            assert time.monotonic() < limit


def test_replicas_that_are_named_one_by_one_are_refused() -> None:
    settings = ("gateway.resolver=127.0.0.11", "gateway.upstreams.visual_analysis=[a:1,b:1]")
    with pytest.raises(SettingsError, match="not one for visual_analysis"):
        load_profile("sample", settings)
