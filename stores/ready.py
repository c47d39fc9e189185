"""Waiting until a database server accepts connections, as `pg_isready` asks it: by libpq's ping, which needs no password."""

from __future__ import annotations

from psycopg.pq import PGconn, Ping
from tenacity import Retrying, TryAgain, retry_if_exception_type, stop_after_delay, wait_fixed

from aura.errors import DatabaseUnavailableError, SettingsError
from stores.address import shown

_PING_SECONDS = 2
_STATES = {
    Ping.REJECT: "it is starting, ending, or has no connection left",
    Ping.NO_RESPONSE: "nothing answers there",
}


def state(url: str) -> Ping:
    """What the server says at once. A frozen server accepts a connection and says nothing: that is no response too."""
    separator = "&" if "?" in url else "?"
    timed = url if "connect_timeout" in url else f"{url}{separator}connect_timeout={_PING_SECONDS}"
    return Ping(PGconn.ping(timed.encode()))


def wait_until_ready(url: str, seconds: float) -> None:
    """Wait until the server accepts connections.

    Raises:
        DatabaseUnavailableError: it does not within `seconds`.
        SettingsError: the address cannot be used at all.
    """
    found = Ping.NO_RESPONSE
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(TryAgain), stop=stop_after_delay(seconds), wait=wait_fixed(0.1), reraise=True
        ):
            with attempt:
                found = state(url)
                if found == Ping.NO_ATTEMPT:
                    raise SettingsError(f"the address of the database cannot be used: {shown(url)}")
                if found != Ping.OK:
                    raise TryAgain
    except TryAgain:
        raise DatabaseUnavailableError(
            f"the database {shown(url)} does not accept connections after {seconds:.0f} s: {_STATES[found]}",
            hint="start it, or correct AURA_DATABASE_URL",
        ) from None
