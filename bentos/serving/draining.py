"""What a process does between SIGTERM and its end: it finishes what is under way.

uvicorn closes WebSockets at once when the signal comes, and takes no new connections, while the other part of the service may
still need some. So the signal first drains, and reaches uvicorn afterwards.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable

from bentos.serving.request_log import logger


def drain_on_sigterm(drain: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Let SIGTERM call `drain`, and the server's own handler when that has ended, failed, or taken `seconds`.

    Call it in a running event loop, after the server has set its handler: BentoML's startup hooks run there. Does nothing
    outside of the main thread, where no signals arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    end_server = signal.getsignal(signal.SIGTERM)
    draining: list[asyncio.Task[None]] = []

    async def drain_then_end() -> None:
        try:
            async with asyncio.timeout(seconds):
                await drain()
        except TimeoutError:
            logger.warning("ending with work under way: it took more than %.0f seconds", seconds)
        except Exception:
            logger.exception("could not drain")
        if callable(end_server):
            end_server(signal.SIGTERM, None)

    def begin() -> None:
        if not draining:
            draining.append(loop.create_task(drain_then_end()))

    # Not loop.add_signal_handler, which would take the place of the server's handler for good.
    signal.signal(signal.SIGTERM, lambda _number, _frame: loop.call_soon_threadsafe(begin))
