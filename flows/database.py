"""The database of a command: the one that `AURA_DATABASE_URL` names, or a server of this home for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aura.paths import home
from flows.logs import rotate
from stores.address import given_url
from stores.local_server import LocalServer
from stores.ready import wait_until_ready


@contextmanager
def database(seconds: float) -> Iterator[str]:
    """Hold while a database is used that accepts connections; gives its address.

    Raises:
        DatabaseUnavailableError: it does not accept any within `seconds`.
        SettingsError: the address in the environment cannot be used.
        StartError: none is named, and none can be started here.
    """
    if url := given_url():
        wait_until_ready(url, seconds)
        yield url
        return
    log = home() / "logs" / "postgres.log"
    rotate(log)
    with LocalServer(home() / "postgres").running(seconds, log) as url:
        yield url
