"""The gateway under load, with a real nginx: callers who ask too often or send too slowly, and replicas that die."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading
from pathlib import Path

import httpx

from flows.gateway.platform_health import HealthPlan, Part, PartHealth, joined
from flows.processes import free_port
from tests.flows.gateway.conftest import HANG_SECONDS, Gateway, Processes, Start

READ = "/api/v1/visual-analysis/items"


def test_who_asks_too_often_is_told_when_to_come_again(start: Start) -> None:
    gateway = start("gateway.requests=1/minute", "gateway.requests_at_once=3")
    answers = [gateway.client.get("/v1/models") for _ in range(6)]
    assert [answer.status_code for answer in answers][-1] == 429
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "rate_limited"
    assert (refused.headers["retry-after"], refused.headers["content-type"]) == ("1", "application/json")
    assert 200 in [answer.status_code for answer in answers]


def test_passwords_are_tried_less_often_than_anything_else(start: Start) -> None:
    gateway = start("gateway.sign_ins=1/minute", "gateway.sign_ins_at_once=2")
    for path in ("/token", "/pages"):
        codes = [gateway.client.post(f"/api/v1/accounts{path}", content=b"").status_code for _ in range(6)]
        assert codes[-1] == 429
    assert gateway.client.get("/api/v1/accounts/me").status_code == 200


def test_a_slow_caller_is_cut_off_and_others_are_answered(start: Start) -> None:
    gateway = start("gateway.client_seconds=1")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = int(gateway.https.rpartition(":")[2])
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), HANG_SECONDS)) as slow:
        slow.sendall(b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx")
        assert gateway.client.get("/v1/models").status_code == 200
        answer = slow.recv(65536)  # waits until the gateway has had enough
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_replicas_die_under_load_and_no_idempotent_request_fails(start: Start, processes: Processes) -> None:
    first, second, shared = free_port(), free_port(), free_port()
    running = {first: processes.backend("one", first), second: processes.backend("two", second)}
    processes.backend("shared", shared)
    others = dict.fromkeys(
        ["accounts", "outfit_recommendation", "conversational_ai", "mlflow", "prefect", "grafana", "platform_health"],
        shared,
    )
    gateway = start(
        f"gateway.upstreams.visual_analysis=[127.0.0.1:{first},127.0.0.1:{second}]",
        "gateway.requests=100000/second", "gateway.requests_at_once=100000", "gateway.retry_seconds=1", backends=others,
    )  # fmt: skip
    done, answers = threading.Event(), list[tuple[int, str]]()

    def ask() -> None:
        with httpx.Client(base_url=gateway.https, verify=False, timeout=HANG_SECONDS, trust_env=False) as client:
            while not done.is_set():
                answer = client.get(READ)
                answers.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        for name, port in (("one", first), ("two", second)):
            seen = len(answers)
            while len(answers) < seen + 100:
                assert any(thread.is_alive() for thread in threads)
            os.killpg(running[port].pid, signal.SIGKILL)
            running[port].wait()
            seen = len(answers)
            while len(answers) < seen + 100:
                assert any(thread.is_alive() for thread in threads)
            running[port] = processes.backend(name, port)
            _wait_until_used(answers, name)
    done.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}, [text for status, text in answers if status != 200][:3]


def _wait_until_used(answers: list[tuple[int, str]], name: str) -> None:
    seen = len(answers)
    while not any(f'"name": "{name}"' in text for _, text in answers[seen:]):
        pass


def test_what_was_begun_and_is_not_idempotent_is_not_done_twice(start: Start) -> None:
    gateway = start()
    closing = socket.create_server(("127.0.0.1", 0))  # takes a request and dies with it
    port, taken = closing.getsockname()[1], list[bytes]()

    def take() -> None:
        while True:
            try:
                connection, _ = closing.accept()
            except OSError:
                return
            taken.append(connection.recv(65536))
            connection.close()

    threading.Thread(target=take, daemon=True).start()
    others = {name: other for name, other in gateway.ports.items() if name != "visual_analysis"}
    again = start(f"gateway.upstreams.visual_analysis=[127.0.0.1:{port},127.0.0.1:{port}]", backends=others)
    answer = again.client.post("/api/v1/visual-analysis/analyze", content=b"picture")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "overloaded")
    assert answer.headers["retry-after"] == "2"
    assert len(taken) == 1
    again.client.get(READ)
    assert len(taken) > 2, "what may be repeated was"
    closing.close()


def test_a_service_that_is_away_is_said_in_the_common_body(start: Start, gateway: Gateway) -> None:
    others = {name: port for name, port in gateway.ports.items() if name != "visual_analysis"}
    away = start(backends=others | {"visual_analysis": free_port()})
    answer = away.client.post("/api/v1/visual-analysis/analyze", content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "overloaded")


PLAN = HealthPlan(
    host="127.0.0.1", port=1, home=Path("home"), textfiles=Path("home/metrics"), certificate=Path("none.pem"),
    parts=[
        Part(name="a 1", group="a", url="", is_service=True), Part(name="a 2", group="a", url="", is_service=True),
        Part(name="tool", group="tool", url="", is_service=False),
    ],
)  # fmt: skip
READY, DOWN = PartHealth(state="ready"), PartHealth(state="down", reasons=["does not answer"])


def test_the_platform_is_down_only_without_any_replica_of_a_service() -> None:
    def state(*found: PartHealth) -> str:
        return joined(PLAN, dict(zip(("a 1", "a 2", "tool"), found, strict=True))).state

    assert state(READY, READY, READY) == "ready"
    assert state(READY, DOWN, READY) == "degraded"
    assert state(READY, READY, DOWN) == "degraded"
    assert state(DOWN, DOWN, READY) == "down"
    assert joined(PLAN, {"a 1": READY, "a 2": DOWN, "tool": READY}).reasons == ["a 2: does not answer"]


def test_one_answer_tells_the_health_of_all_parts(
    start: Start, processes: Processes, gateway: Gateway, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    port, part = free_port(), free_port()
    backend = processes.backend("part", part)
    plan = HealthPlan(
        host="127.0.0.1", port=port, home=tmp_path, textfiles=tmp_path / "metrics", certificate=tmp_path / "none.pem",
        parts=[Part(name="a", group="a", url=f"http://127.0.0.1:{part}/health", is_service=True)],
    )  # fmt: skip
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    process = processes.start(sys.executable, "-m", "flows.gateway.platform_health", str(file))
    processes.wait_for(f"http://127.0.0.1:{port}/health", process)
    whole = start(backends=gateway.ports | {"platform_health": port})
    assert whole.client.get("/health").json()["parts"] == {"a": {"state": "ready", "reasons": []}}
    os.killpg(backend.pid, signal.SIGKILL)
    backend.wait()
    answer = whole.client.get("/health")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["a: does not answer"])
