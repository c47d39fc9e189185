"""What `deploy/smoke.sh` asks of a running deployment, a step per call, and what it remembers of the answers.

    python deploy/smoke/client.py STEP

It runs in Aura's image on the machine's own network, and trusts the gateway's certificate alone. Each step prints what it saw,
and ends with 1 where that is not what it must be.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

STATE = Path(os.environ.get("AURA_SMOKE_STATE", "/state"))
URL = os.environ.get("AURA_SMOKE_URL", "https://localhost:8443")
PROMETHEUS = os.environ.get("AURA_SMOKE_PROMETHEUS", "")
GRAFANA = os.environ.get("AURA_SMOKE_GRAFANA", "")
LEFT_OUT = set(filter(None, os.environ.get("AURA_SMOKE_WITHOUT", "").split(",")))
DASHBOARDS = Path(__file__).parents[1] / "monitoring" / "grafana" / "dashboards"
PERSON, CALLERS = "ada@example.org", "callers@example.org"
"""Two accounts: what callers ask meanwhile is stored too, and is none of the person's."""
LEAST_SCORE = 0.05
"""The least that `analyze` takes: a detector is not sure of much after minutes."""
QUESTION = "Which shoes go with navy trousers?"
MODEL_SERVICES = ("visual-analysis", "outfit-recommendation", "conversational-ai")
_REQUEST_SECONDS = 120.0
_SCRAPE_SECONDS = 120.0
_NIGHT_SECONDS = 3600.0
_SWITCH_SECONDS = 300.0
_TOKEN_SECONDS = 240.0
"""An access token is good for ten minutes."""


class SmokeError(Exception):
    """A step did not see what it must."""


def expect(holds: object, problem: str) -> None:
    if not holds:
        raise SmokeError(problem)


def trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(STATE / "certificate.pem"))


class Person:
    """Somebody with an account, behind the gateway."""

    def __init__(self, email: str = PERSON) -> None:
        self.email = email
        self.http = httpx.Client(base_url=f"{URL}/api/v1/", verify=trusted(), timeout=_REQUEST_SECONDS, trust_env=False)

    @property
    def password(self) -> str:
        return (STATE / "password").read_text(encoding="utf-8").strip()

    def register(self) -> None:
        body = {"email": self.email, "password": self.password}
        self.http.post("accounts/register", json=body).raise_for_status()

    def sign_in(self) -> None:
        form = {"username": self.email, "password": self.password}
        answer = self.http.post("accounts/token", data=form).raise_for_status().json()
        self.http.headers["authorization"] = f"Bearer {answer['access_token']}"

    def get(self, path: str, **parameters: Any) -> Any:
        return self.http.get(path, params=parameters).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        response = self.http.post(path, **body)
        expect(response.is_success, f"{path} answered {response.status_code}: {response.text[:500]}")
        return response.json()

    def analyze(self, **parameters: Any) -> Any:
        photo = {"image": ("photo.jpg", (STATE / "photo.jpg").read_bytes(), "image/jpeg")}
        return self.post("visual-analysis/analyze", files=photo, params=parameters)

    def converse(self) -> tuple[str, dict[str, Any]]:
        """One question over the WebSocket: the words of the answer, and its last frame."""
        address = f"{URL.replace('http', 'ws', 1)}/api/v1/conversational-ai/ws/chat"
        headers = {"authorization": self.http.headers["authorization"]}
        with connect(address, ssl=trusted(), proxy=None, additional_headers=headers, open_timeout=60) as socket:
            socket.send(json.dumps({"content": QUESTION}))
            frames = [json.loads(socket.recv(timeout=_REQUEST_SECONDS))]
            while frames[-1]["type"] not in ("done", "error"):
                frames.append(json.loads(socket.recv(timeout=_REQUEST_SECONDS)))
        expect(frames[0]["type"] == "sources" and frames[-1]["type"] == "done", f"the WebSocket answered {frames}")
        return "".join(frame["text"] for frame in frames if frame["type"] == "token"), frames[-1]


def signed_in(email: str = PERSON) -> Person:
    person = Person(email)
    person.sign_in()
    return person


def releases(person: Person) -> set[str]:
    """Releases that the model services answer from."""
    return {str(person.get(f"{service}/health")["release"]["id"]) for service in MODEL_SERVICES}


def health() -> None:
    """The platform is ready; what was left out may be missing."""
    answer = httpx.get(f"{URL}/health", verify=trusted(), timeout=60, trust_env=False)
    body = answer.json()
    others = [reason for reason in body.get("reasons", []) if not any(name in str(reason) for name in LEFT_OUT)]
    print(f"/health: {answer.status_code} {body['state']}; reasons: {body.get('reasons', []) or 'none'}")
    expect(answer.status_code == 200 and not others, f"the platform is not ready: {body}")


def sign_up() -> None:
    for email in (PERSON, CALLERS):
        person = Person(email)
        person.register()
        person.sign_in()
        print(f"signed up and in over TLS as {person.get('accounts/me')['email']}")


def use() -> None:
    """Leave garments, a conversation and a verdict; ask every service something."""
    person = signed_in()
    found = person.analyze(threshold=LEAST_SCORE, colours=True)
    named = ", ".join(f"{garment['category']} {garment['score']:.2f}" for garment in found["garments"][:5])
    print(f"analyze: {found['width']} x {found['height']} px, {len(found['garments'])} garments {named}")
    picture = base64.b64encode((STATE / "photo.jpg").read_bytes()).decode()
    mine = {"category": "tops", "title": "Navy shirt", "image_base64": picture}
    print(f"wardrobe: {person.post('accounts/wardrobe', json=mine)['title']}, with a picture")
    text, done = person.converse()
    expect(done["stored"], f"the chat did not store the conversation: {done}")
    print(f"chat over the WebSocket, stored: {text[:100]!r}")
    for name, value in answers(person).items():
        print(f"{name}: {json.dumps(value)[:160]}")


def answers(person: Person) -> dict[str, Any]:
    """What a person finds, and what the services answer her; the same later, where nothing was lost."""
    garments = sorted(person.get("accounts/wardrobe")["garments"], key=lambda garment: garment["id"])
    pictures = {}
    for garment in garments:
        picture = person.http.get(f"accounts/wardrobe/{garment['id']}/picture").raise_for_status().content
        pictures[garment["id"]] = hashlib.sha256(picture).hexdigest()
    conversations = person.get("accounts/conversations")["conversations"]
    said = {
        one["id"]: [
            (message["role"], message["content"])
            for message in person.get(f"accounts/conversations/{one['id']}/messages")["messages"]
        ]
        for one in conversations
    }
    outfit = {"items": [{"category": "tops", "title": "Navy shirt"}, {"category": "bottoms", "title": "Beige chinos"}]}
    wanted = outfit | {"targets": ["shoes", "bags"], "k": 2}
    mine = {"items": [{"wardrobe_id": garments[0]["id"]}], "source": "both", "count": 2}
    chat = {"messages": [{"role": "user", "content": QUESTION}], "max_new_tokens": 24}
    passages = person.post("conversational-ai/rag/query", json={"query": QUESTION, "k": 3})["passages"]
    return {
        "release": sorted(releases(person)),
        "wardrobe": [[garment["category"], garment["title"]] for garment in garments],
        "pictures": pictures,
        "conversations": said,
        "analysis": person.analyze(threshold=LEAST_SCORE)["garments"],
        "recommendation": person.post("outfit-recommendation/recommend", json=wanted)["targets"],
        "outfits": person.post("outfit-recommendation/outfits", json=mine)["outfits"],
        "rag": [passage["text"] for passage in passages],
        "chat": signed_in(CALLERS).post("conversational-ai/chat", json=chat)["message"]["content"],
    }


def remember() -> None:
    found = answers(signed_in())
    (STATE / "answers.json").write_text(json.dumps(found), encoding="utf-8")
    print(f"remembered: {', '.join(found)}; release {found['release']}")


def compare() -> None:
    """Everything is as it was when `remember` asked."""
    before = json.loads((STATE / "answers.json").read_text(encoding="utf-8"))
    now = json.loads(json.dumps(answers(signed_in())))
    for name, value in before.items():
        expect(now[name] == value, f"{name} was {json.dumps(value)[:1000]} and is {json.dumps(now[name])[:1000]}")
    print(f"the same as before, with the same password: {', '.join(before)}; release {now['release']}")


def pages() -> None:
    """The tools' pages open for an administrator and for nobody else."""
    person, nobody = signed_in(), Person()
    for path in ("/mlflow/", "/prefect/", "/prefect/api/health"):
        seen = [client.http.get(f"{URL}{path}").status_code for client in (nobody, person)]
        print(f"{path}: {seen[0]} without an account, {seen[1]} for an administrator")
        expect(seen == [401, 200], f"{path} answered {seen}")


def _query(expression: str) -> list[Any]:
    answer = httpx.get(f"{PROMETHEUS}/api/v1/query", params={"query": expression}, timeout=30, trust_env=False)
    found: list[Any] = answer.raise_for_status().json()["data"]["result"]
    return found


def _eventually(seconds: float, what: str, found: Callable[[], Any]) -> Any:
    limit = time.monotonic() + seconds
    while not (value := found()):
        expect(time.monotonic() < limit, f"waited {seconds:.0f} s for {what}")
        time.sleep(2)
    return value


def metrics() -> None:
    """Prometheus reads every part, and has counted the requests of before."""

    def all_up() -> list[Any]:
        up = _query("up")
        return up if up and all(each["value"][1] == "1" for each in up) else []

    def counted() -> dict[str, float]:
        found = _query('sum by (job) (aura_requests_total{route!~".*/health"})')
        return {each["metric"]["job"]: float(each["value"][1]) for each in found if float(each["value"][1])}

    up = _eventually(_SCRAPE_SECONDS, "all targets of Prometheus to be up", all_up)
    print(f"Prometheus: up are {', '.join(sorted(each['metric']['job'] for each in up))}")
    counts = _eventually(_SCRAPE_SECONDS, "requests to be counted", lambda: len(found := counted()) == 4 and found)
    print(f"requests counted: {', '.join(f'{job} {count:.0f}' for job, count in sorted(counts.items()))}")
    asked = [expression for file in sorted(DASHBOARDS.glob("*.json")) for expression in _expressions(file)]
    shown = [expression for expression in asked if _query(expression)]
    print(f"dashboards: {len(shown)} of the {len(asked)} queries of their panels find something at the moment")
    expect(shown, "no query of a dashboard finds anything")


def _expressions(file: Path) -> list[str]:
    panels = json.loads(file.read_text(encoding="utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [expression.replace("$service", "visual_analysis") for expression in found]


def dashboards() -> None:
    """Grafana has the four dashboards, and reaches Prometheus."""
    with httpx.Client(
        base_url=f"{GRAFANA}/grafana/api/", auth=("admin", os.environ["GRAFANA_PASSWORD"]), trust_env=False, timeout=60
    ) as grafana:
        found = grafana.get("search", params={"type": "dash-db"}).raise_for_status().json()
        titles = sorted(each["title"] for each in found)
        expect(len(titles) == len(list(DASHBOARDS.glob("*.json"))), f"Grafana has the dashboards {titles}")
        proxy = "datasources/proxy/uid/aura-prometheus/api/v1/query"
        answer = grafana.get(proxy, params={"query": "sum(up)"}).raise_for_status().json()
        print(
            f"Grafana: {', '.join(titles)}; through its data source {answer['data']['result'][0]['value'][1]} parts are up"
        )


class Caller(threading.Thread):
    """Asks again and again until it is told to stop; every request that fails is counted by what went wrong."""

    def __init__(self, person: Person, ask: Callable[[Person, int], Any], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._person, self._ask, self._stop_asking = person, ask, stop
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def run(self) -> None:
        signed_in_at, number = time.monotonic(), 0
        while not self._stop_asking.wait(0.3):
            number += 1
            try:
                if time.monotonic() - signed_in_at > _TOKEN_SECONDS:
                    self._person.sign_in()
                    signed_in_at = time.monotonic()
                self.answered[str(self._ask(self._person, number)["release"]["id"])] += 1
            except (httpx.HTTPError, SmokeError, KeyError, ValueError) as error:
                self.failed[f"{type(error).__name__}: {error}"[:200]] += 1


def _analyze(person: Person, number: int) -> Any:
    return person.analyze(
        threshold=LEAST_SCORE + number % 10_000 / 1e6
    )  # no two alike: kept answers would not be made anew


def _recommend(person: Person, number: int) -> Any:
    items = [{"category": "tops", "title": f"Shirt {number}"}, {"category": "bottoms", "title": "Beige chinos"}]
    return person.post("outfit-recommendation/recommend", json={"items": items, "targets": ["shoes"], "k": 2})


def _search(person: Person, number: int) -> Any:
    return person.post("conversational-ai/rag/query", json={"query": f"{QUESTION} Number {number}", "k": 3})


def _talk(person: Person, number: int) -> Any:
    chat = {"messages": [{"role": "user", "content": f"{QUESTION} Number {number}"}], "max_new_tokens": 16}
    return person.post("conversational-ai/chat", json=chat)


def night() -> None:
    """The schedule starts a night under traffic; services answer from its release, and no request fails."""
    operator = signed_in()
    before, prefect = releases(operator), f"{URL}/prefect/api"
    deployment = operator.get(f"{prefect}/deployments/name/nightly/nightly")
    (schedule,) = deployment["schedules"]
    due = datetime.now(UTC) + timedelta(minutes=2)
    change = {"schedule": {"cron": f"{due.minute} {due.hour} * * *", "timezone": "Etc/UTC"}}
    url = f"{prefect}/deployments/{deployment['id']}/schedules/{schedule['id']}"
    operator.http.patch(url, json=change).raise_for_status()
    print(
        f"release {before} serves; the night is due at {due:%H:%M} UTC by the schedule {change['schedule']['cron']!r}"
    )
    stop = threading.Event()
    callers = [Caller(signed_in(CALLERS), ask, stop) for ask in (_analyze, _recommend, _search, _talk)]
    for caller in callers:
        caller.start()
    signed_in_at = time.monotonic()

    def ended() -> Any:
        nonlocal signed_in_at
        if time.monotonic() - signed_in_at > _TOKEN_SECONDS:
            operator.sign_in()
            signed_in_at = time.monotonic()
        runs = {"deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "START_TIME_DESC", "limit": 50}
        found = [run for run in operator.post(f"{prefect}/flow_runs/filter", json=runs) if run["auto_scheduled"]]
        return [run for run in found if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")]

    try:
        (run, *_) = _eventually(_NIGHT_SECONDS, "the scheduled night to end", ended)
        operator.sign_in()
        print(f"the schedule started {run['name']!r}: {run['state_name']} after {run['total_run_time']:.0f} s")
        expect(run["state_type"] == "COMPLETED", f"the night ended as {run['state_name']}")

        def switched() -> set[str]:
            now = releases(operator)
            return now if len(now) == 1 and now != before else set()

        after = _eventually(_SWITCH_SECONDS, "the services to answer from a new release", switched)
        time.sleep(10)
    finally:
        stop.set()
        for caller in callers:
            caller.join(_REQUEST_SECONDS)
    answered, failed = (
        sum((getattr(caller, what) for caller in callers), Counter()) for what in ("answered", "failed")
    )
    told = ", ".join(f"{count} from release {release}" for release, count in sorted(answered.items()))
    print(f"release {before} -> {after}; callers meanwhile: {told}; failed: {sum(failed.values())}")
    expect(not failed, f"requests failed: {dict(failed)}")
    expect(set(answered) >= before | after, f"callers saw the releases {set(answered)} only")


STEPS = {step.__name__: step for step in (health, sign_up, use, remember, compare, pages, metrics, dashboards, night)}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in STEPS:
        print(f"give a step: {' '.join(STEPS)}", file=sys.stderr)
        return 2
    try:
        STEPS[sys.argv[1]]()
    except (SmokeError, httpx.HTTPError, OSError) as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
