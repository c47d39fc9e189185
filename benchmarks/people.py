"""How the accounts service answers somebody among 10,000 people, beside how it answers somebody alone.

    python -m benchmarks.people

starts a PostgreSQL server of its own, asks the service in this process (HTTP without a network), and prints a table.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient

from bentos.accounts.service import AccountsService, app
from bentos.accounts.settings import AccountsSettings
from bentos.serving.settings import ServingSettings
from stores import schema
from stores.encryption import TextCipher, keys_folder
from stores.local_server import LocalServer

USERS, MESSAGES, GARMENTS = 10_000, 100_000, 20_000
EMAIL, PASSWORD = "ada@example.org", "correct horse battery staple"
_START_SECONDS = 120
_MESSAGES_PER_CONVERSATION = 20


class PlainAssets:
    """What the service needs of its process: settings alone."""

    profile = "benchmark"

    def __init__(self, serving: ServingSettings) -> None:
        self.serving = serving


def fill(url: str, cipher: TextCipher, users: int = USERS, messages: int = MESSAGES, garments: int = GARMENTS) -> None:
    """People, with the data of each as even as the numbers allow. Nobody of them can sign in."""
    content, key_id = cipher.encrypted(
        "Which shoes go with a navy suit? I have brown brogues, and a pair of white trainers."
    )
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO users (email, password_hash) SELECT 'user' || n || '@example.org', '$2b$12$' || repeat('x', 53) "
            "FROM generate_series(1, %s) n",
            (users,),
        )
        connection.execute("CREATE TEMP TABLE numbered AS SELECT id, row_number() OVER () - 1 AS n FROM users")
        connection.execute(
            "INSERT INTO sessions (user_id, network, expires_at) SELECT id, '192.0.2.0/24', now() + '30 days' FROM numbered"
        )
        connection.execute(
            "INSERT INTO refresh_tokens (token_hash, session_id) SELECT sha256(id::text::bytea), id FROM sessions"
        )
        connection.execute(
            "INSERT INTO garments (user_id, category, title) SELECT id, 'tops', 'Shirt ' || g "
            "FROM generate_series(0, %s - 1) g JOIN numbered ON n = g %% (SELECT count(*) FROM numbered)",
            (garments,),
        )
        connection.execute(
            "INSERT INTO conversations (user_id) SELECT id FROM generate_series(0, %s - 1) c "
            "JOIN numbered ON n = c %% (SELECT count(*) FROM numbered)",
            (messages // _MESSAGES_PER_CONVERSATION,),
        )
        connection.execute(
            "INSERT INTO messages (conversation_id, position, role, content, key_id) "
            "SELECT id, p, 'user', %s, %s FROM conversations c, generate_series(0, %s - 1) p "
            "WHERE NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = c.id)",
            (content, key_id, _MESSAGES_PER_CONVERSATION),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


@contextmanager
def service(url: str) -> Iterator[TestClient]:
    """The accounts service on a database, without limits on attempts."""
    settings = AccountsSettings(attempts_per_address="1000000/minute", attempts_per_name="1000000/minute")
    instance = AccountsService.inner(PlainAssets(ServingSettings(accounts=settings)), url)
    set_current_service(instance)
    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(instance.begin)
        while client.get("/health").status_code != 200:
            time.sleep(0.1)
        yield client
        client.portal.call(instance.end)
    set_current_service(None)


def requests(client: TestClient) -> dict[str, Callable[[], object]]:
    """What is measured, for somebody with 20 messages and 20 garments."""
    client.post("/register", json={"email": EMAIL, "password": PASSWORD})
    form = {"username": EMAIL, "password": PASSWORD}
    headers = {"authorization": f"Bearer {client.post('/token', data=form).json()['access_token']}"}
    for number in range(20):
        client.post("/wardrobe", json={"category": "tops", "title": f"Shirt {number}"}, headers=headers)
    conversation = client.post("/conversations", headers=headers).json()["id"]
    path = f"/conversations/{conversation}/messages"
    said = {"messages": [{"role": "user", "content": "Which shoes go with a navy suit?"}]}
    for _ in range(20):
        client.post(path, json=said, headers=headers)
    feedback = {"kind": "outfit", "verdict": "saved", "item_ids": ["a", "b"]}
    return {
        "sign in": lambda: client.post("/token", data=form).raise_for_status(),
        "list the wardrobe": lambda: client.get("/wardrobe", headers=headers).raise_for_status(),
        "list messages": lambda: client.get(path, headers=headers).raise_for_status(),
        "keep a message": lambda: client.post(path, json=said, headers=headers).raise_for_status(),
        "give feedback": lambda: client.post("/feedback", json=feedback, headers=headers).raise_for_status(),
    }


def taken_ms(ask: Callable[[], object], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def measure(urls: dict[str, str], rounds: int, times: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by request and database; the databases take turns, so that what else the machine does concerns both."""
    measured: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for name, url in urls.items():
            with service(url) as client:
                for what, ask in requests(client).items():
                    measured.setdefault(what, {}).setdefault(name, []).extend(taken_ms(ask, times))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.people", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="turns of each database")
    parser.add_argument("--times", type=int, default=25, help="requests of each kind per turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aura-people-") as name:
        os.environ["AURA_HOME"] = name
        server = LocalServer(Path(name) / "postgres")
        with server.running(_START_SECONDS, Path(name) / "postgres.log") as empty:
            with psycopg.connect(empty, autocommit=True) as connection:
                connection.execute("CREATE DATABASE full_of_people")
            full = server.url("full_of_people")
            schema.upgrade(full)
            fill(full, TextCipher(keys_folder()))
            measured = measure({"empty": empty, "full": full}, options.rounds, options.times)
    times = options.rounds * options.times
    print(f"{platform.machine()}, {os.cpu_count()} cores, p95 of {times} requests one after the other, in ms\n")
    print(f"| request | alone | among {USERS:,} people | ratio |\n|---|---|---|---|")
    for what, found in measured.items():
        alone, among = (statistics.quantiles(found[name], n=20)[-1] for name in ("empty", "full"))
        print(f"| {what} | {alone:.1f} | {among:.1f} | {among / alone:.2f} |")


if __name__ == "__main__":
    main()
