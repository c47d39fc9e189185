"""Small real servers for a gateway to stand in front of, each able to be killed as a process."""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import WSMsgType, web


async def answer(request: web.Request) -> web.StreamResponse:
    """Tells what arrived."""
    body = await request.read()
    seen = {
        "name": request.app["name"], "path": request.raw_path, "method": request.method, "length": len(body),
        "headers": {key.lower(): value for key, value in request.headers.items()},
    }  # fmt: skip
    return web.json_response(
        seen, headers={"access-control-allow-origin": "*", "x-request-id": request.headers.get("x-request-id", "none")}
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """One event, and the next only when `/go` was called."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await request.app["go"].wait()
    await response.write(b"data: second\n\n")
    await response.write_eof()
    return response


async def go(request: web.Request) -> web.Response:
    request.app["go"].set()
    return web.Response(text="gone")


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("aura",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"{request.app['name']}: {message.data}")
    return socket


async def admission(request: web.Request) -> web.Response:
    """As the accounts service answers: one cookie is an administrator's."""
    status = {"admin": 204, "user": 403}.get(request.cookies.get("aura_pages", ""), 401)
    return web.json_response({}, status=status, headers={"x-aura-user": "ada@example.org"})


async def health(_: web.Request) -> web.Response:
    return web.json_response({"state": "ready", "reasons": []})


def main() -> None:
    name, port, host = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    app = web.Application(client_max_size=10**8)
    app["name"], app["go"] = name, asyncio.Event()
    app.router.add_get("/api/v1/conversational-ai/ws/chat", talk)
    app.router.add_get("/api/v1/conversational-ai/stream", stream)
    app.router.add_get("/api/v1/conversational-ai/go", go)
    app.router.add_get("/api/v1/accounts/pages/admission", admission)
    app.router.add_get("/{path:.*health}", health)
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, host=host, port=port, print=lambda text: print(json.dumps(text), flush=True))


if __name__ == "__main__":
    main()
