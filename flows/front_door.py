"""The addresses that callers know, in front of services that change: each request goes to what serves at the moment.

A plain forwarding of connections would not do: a caller keeps its connection for many requests, and one that is sent while the
old server ends is lost. So requests are forwarded, one by one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

logger = logging.getLogger(__name__)

TRY_AGAIN = 1012
"""WebSocket close code "service restart": the caller may come again at once (RFC 6455's registry at IANA)."""
_OF_ONE_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
"""Headers that must not be forwarded (RFC 9110, 7.6.1)."""
_OF_A_HANDSHAKE = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})
_PROTOCOL = "sec-websocket-protocol"
"""Header with the subprotocols that a caller offers: a browser's token is among them, and it waits for one to be taken."""
_START_SECONDS = 10.0


class _Upstream:
    """One server: what is under way there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sockets: set[web.WebSocketResponse] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self._under_way = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        self._under_way += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()


class FrontDoor:
    """Listens on the services' ports, in a thread of its own.

    Args:
        ports: name of a service to the port that callers know.
        urls: name of a service to the server that answers first, for example `http://127.0.0.1:40123`.
    """

    def __init__(self, host: str, ports: Mapping[str, int], urls: Mapping[str, str]) -> None:
        self._host, self._ports = host, dict(ports)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front door", daemon=True)
        self._upstreams: dict[str, _Upstream] = {}
        self._first = dict(urls)
        self._runners: list[web.AppRunner] = []

    def open(self) -> None:
        """Begin to listen.

        Raises:
            OSError: a port is taken.
        """
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_START_SECONDS)

    def switch(self, urls: Mapping[str, str], drain_seconds: float) -> None:
        """Send all requests that come from now on to other servers; returns when the old ones have nothing under way.

        WebSockets are told to come again at once.

        Args:
            drain_seconds: how long an answer may take to end; then its server may be ended anyway.
        """
        asyncio.run_coroutine_threadsafe(self._switch(urls, drain_seconds), self._loop).result()

    def close(self) -> None:
        """End listening, and what is under way."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _open(self) -> None:
        # A connection for each request: one that is kept may be closed by its server at the moment when it is used again.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None), trust_env=False
        )
        for name, port in self._ports.items():
            self._upstreams[name] = _Upstream(self._first[name])
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._handler(name))
            # A caller that leaves ends its request at the service too.
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, self._host, port).start()

    async def _switch(self, urls: Mapping[str, str], drain_seconds: float) -> None:
        before = [self._upstreams[name] for name in urls]
        self._upstreams |= {name: _Upstream(url) for name, url in urls.items()}
        sockets = [socket for upstream in before for socket in upstream.sockets]
        await asyncio.gather(*(socket.close(code=TRY_AGAIN, message=b"try again") for socket in sockets))
        try:
            async with asyncio.timeout(drain_seconds):
                await asyncio.gather(*(upstream.idle.wait() for upstream in before))
        except TimeoutError:
            logger.warning("some answers have not ended within %.0f seconds, and break off", drain_seconds)

    async def _close(self) -> None:
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        await self._session.close()

    def _handler(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            upstream = self._upstreams[name]
            with upstream.under_way():
                try:
                    if request.headers.get("upgrade", "").lower() == "websocket":
                        return await self._converse(request, upstream)
                    return await self._forward(request, upstream)
                except aiohttp.ClientError as error:
                    logger.warning("%s at %s did not answer: %r", name, upstream.url, error)
                    raise web.HTTPBadGateway(text="this service did not answer; try again") from error

        return handle

    async def _forward(self, request: web.Request, upstream: _Upstream) -> web.StreamResponse:
        url = URL(f"{upstream.url}{request.raw_path}", encoded=True)
        async with self._session.request(
            request.method, url, headers=_forwarded(request), allow_redirects=False,
            data=request.content if request.can_read_body else None,
        ) as answer:  # fmt: skip
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for key, value in answer.headers.items():
                if key.lower() not in _OF_ONE_CONNECTION:
                    response.headers.add(key, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _converse(self, request: web.Request, upstream: _Upstream) -> web.StreamResponse:
        headers = _forwarded(request, _OF_ONE_CONNECTION | _OF_A_HANDSHAKE)
        offered = [name.strip() for value in headers.popall(_PROTOCOL, []) for name in value.split(",")]
        try:
            inner = await self._session.ws_connect(
                URL(f"{upstream.url}{request.raw_path}", encoded=True),
                headers=headers,
                max_msg_size=0,
                protocols=offered,
            )
        except aiohttp.WSServerHandshakeError as refused:
            return web.Response(status=refused.status, text=refused.message)
        outer = web.WebSocketResponse(max_msg_size=0, protocols=[inner.protocol] if inner.protocol else ())
        await outer.prepare(request)
        upstream.sockets.add(outer)
        try:
            async with inner:
                down, up = asyncio.ensure_future(_pump(inner, outer)), asyncio.ensure_future(_pump(outer, inner))
                await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
                for task in (down, up):
                    task.cancel()
                if not outer.closed:
                    await outer.close(code=inner.close_code or aiohttp.WSCloseCode.GOING_AWAY)
        finally:
            upstream.sockets.discard(outer)
        return outer


def _forwarded(request: web.Request, without: frozenset[str] = _OF_ONE_CONNECTION) -> CIMultiDict[str]:
    """Headers of a request for its service, which also learns where the request came from."""
    headers = CIMultiDict((key, value) for key, value in request.headers.items() if key.lower() not in without)
    came_through = [*headers.popall("x-forwarded-for", []), request.remote or ""]
    headers["x-forwarded-for"] = ", ".join(filter(None, came_through))
    return headers


async def _pump(
    source: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    target: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
) -> None:
    """Pass on the frames of one direction until it ends."""
    with suppress(ConnectionError, aiohttp.ClientError):
        async for message in source:
            if message.type is aiohttp.WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await target.send_bytes(message.data)
