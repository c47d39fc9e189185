"""Counts of attempts: in this process, in a real Redis for several, and while that is away."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from bentos.accounts.settings import AccountsSettings
from bentos.accounts.sign_in_limits import SignInLimits, network_of
from bentos.serving.errors import TooManyAttemptsError

FEW = AccountsSettings(attempts_per_address="4/minute", attempts_per_name="2/minute")


async def admitted(limits: SignInLimits, address: str, tries: int) -> int:
    """How many of the tries from an address are admitted."""
    count = 0
    seconds: list[int] = []
    for _ in range(tries):
        try:
            await limits.count_address(address)
            count += 1
        except TooManyAttemptsError as error:
            seconds.append(error.retry_seconds)
    assert all(0 < wait <= 60 for wait in seconds)
    return count


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/56"),
        ("testclient", "127.0.0.0/24"),
        ("", "127.0.0.0/24"),
    ],
)
def test_a_place_is_known_again_by_its_network(address: str, network: str) -> None:
    assert network_of(address) == ip_network(network)


def test_addresses_are_counted_apart_and_a_household_of_ipv6_together() -> None:
    async def run() -> list[int]:
        limits = SignInLimits(FEW)
        return [
            await admitted(limits, address, 3)
            for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::2")
        ]

    assert asyncio.run(run()) == [3, 3, 3, 1, 3]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Redis of its own, on a socket."""
    program = shutil.which("redis-server")
    assert program, "install redis-server"
    path = tmp_path / "redis.sock"
    process = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    limit = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    yield process, f"unix://{path}"
    process.kill()
    process.wait()


def test_replicas_count_together_in_redis_and_each_for_itself_while_it_is_away(
    redis: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, url = redis

    async def run() -> list[int]:
        one, other = SignInLimits(FEW, url), SignInLimits(FEW, url)
        counts = [await admitted(one, "192.0.2.1", 3), await admitted(other, "192.0.2.1", 3)]
        process.send_signal(signal.SIGSTOP)
        counts.append(await admitted(other, "192.0.2.1", 5))
        process.send_signal(signal.SIGCONT)
        counts.append(await admitted(other, "192.0.2.2", 5))
        process.kill()
        process.wait()
        return [*counts, await admitted(one, "192.0.2.1", 5)]

    assert asyncio.run(run()) == [3, 1, 4, 4, 4]
