"""With many people's data no request reads a whole table."""

from __future__ import annotations

import psycopg
import pytest

from benchmarks.people import EMAIL, PASSWORD, fill, requests, service
from stores.encryption import TextCipher, keys_folder

pytestmark = pytest.mark.slow

LARGE = ("users", "sessions", "refresh_tokens", "garments", "conversations", "messages")


def whole_reads(url: str) -> dict[str, int]:
    """How often each large table was read whole; a connection that has ended has counted all of its reads."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT relname, seq_scan FROM pg_stat_user_tables").fetchall()
    return {name: count for name, count in found if name in LARGE}


@pytest.mark.usefixtures("own_home")
def test_no_request_reads_a_large_table_from_end_to_end(database_url: str) -> None:
    with service(database_url):
        pass  # its start is no request
    fill(database_url, TextCipher(keys_folder()))
    before = whole_reads(database_url)
    assert set(before) == set(LARGE)
    with service(database_url) as client:
        for ask in requests(client).values():
            ask()
        tokens = client.post("/token", data={"username": EMAIL, "password": PASSWORD}).json()
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert client.post("/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 200
        for path in ("/me", "/conversations", "/feedback", "/export"):
            assert client.get(path, headers=headers).status_code == 200
        garment = client.get("/wardrobe", headers=headers).json()["garments"][0]["id"]
        assert client.delete(f"/wardrobe/{garment}", headers=headers).status_code == 204
        assert client.post("/sign-out", json={"everywhere": True}, headers=headers).status_code == 204
        tokens = client.post("/token", data={"username": EMAIL, "password": PASSWORD}).json()
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert client.post("/deletion", json={"password": PASSWORD}, headers=headers).status_code == 200
    assert whole_reads(database_url) == before
