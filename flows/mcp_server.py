"""The services as tools of the Model Context Protocol (MCP): an assistant that speaks it can see, match and ask.

The tools call the services over HTTP, so that one server offers what three processes do. The protocol is the `mcp` library's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from aura.taxonomy import Category
from bentos.outfit_recommendation.schemas import OutfitItem

_TIMEOUT_SECONDS = 120.0
_INSTRUCTIONS = (
    "Aura knows clothes: it finds garments in photos, says which garments go together, and answers questions about what to wear "
    "and how to care for it from its own pages. Show its citations, and say so when it declines."
)

Items = Annotated[list[OutfitItem], Field(description="garments that are worn together", min_length=1, max_length=12)]


class _Services:
    """Calls of the services at their URLs, signed in where there is a token."""

    def __init__(self, urls: Mapping[str, str], token: str | None) -> None:
        self._urls = urls
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def post(self, service: str, path: str, **request: Any) -> dict[str, Any]:
        """What a service answers.

        Raises:
            ToolError: it does not answer, or with an error; in the service's words.
        """
        url = f"{self._urls[service]}/{path}"
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, headers=self._headers, trust_env=False) as client:
                response = await client.post(url, **request)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise ToolError(f"{service} does not answer at {url}: {said}. Start it with `aura serve`") from error
        if response.is_error:
            raise ToolError(f"{service} refused the call: {_told(response)}")
        answer: dict[str, Any] = response.json()
        return answer


def make_server(urls: Mapping[str, str], *, local_files: bool, token: str | None = None) -> MCPServer:
    """A server with the main calls as tools.

    Args:
        urls: URL of each service by its name, with its path.
        token: access token of the user in whose name the services are called, where they ask for one.
        local_files: photos may be named by their path; for callers on this machine, who could read them anyway.
    """
    services = _Services(urls, token)
    server = MCPServer("aura", instructions=_INSTRUCTIONS)

    @server.tool()
    async def analyze_photo(
        path: Annotated[str | None, Field(description="path of an image file on the machine of this server")] = None,
        image_base64: Annotated[str | None, Field(description="or the base64 of the file")] = None,
        similar: Annotated[int, Field(ge=0, le=10, description="catalog items per garment")] = 0,
    ) -> dict[str, Any]:
        """Find the garments in a photo: category, confidence and box (x, y, x, y in pixels); on request similar items of the
        catalog."""
        photo = _photo(path, image_base64, local_files)
        return await services.post("visual_analysis", "analyze", files={"image": photo}, params={"similar": similar})

    @server.tool()
    async def recommend(
        items: Items,
        targets: Annotated[list[Category] | None, Field(description="wanted categories; none: what is lacking")] = None,
        k: Annotated[int, Field(ge=1, le=50, description="items per category")] = 5,
    ) -> dict[str, Any]:
        """Recommend items of the catalog that go with what somebody wears, best first per category."""
        body = {"items": _sent(items), "targets": targets or [], "k": k}
        return await services.post("outfit_recommendation", "recommend", json=body)

    @server.tool()
    async def evaluate_outfit(items: Items) -> dict[str, Any]:
        """Say how well garments go together: `score` is a probability, where half of all outfits do go together."""
        return await services.post("outfit_recommendation", "evaluate", json={"items": _sent(items)})

    @server.tool()
    async def ask(
        question: Annotated[str, Field(min_length=1, max_length=4000)],
        passages: Annotated[int, Field(ge=0, le=5, description="passages that the answer may use")] = 3,
    ) -> dict[str, Any]:
        """Answer a question about clothes in whole sentences, each with the number of the source that it cites; `declined` when
        the pages say nothing on it."""
        body = {"messages": [{"role": "user", "content": question}], "passages": passages}
        return await services.post("conversational_ai", "chat", json=body)

    @server.tool()
    async def search_knowledge(
        query: Annotated[str, Field(min_length=1, max_length=2000)], k: Annotated[int, Field(ge=1, le=20)] = 5
    ) -> dict[str, Any]:
        """Find passages of the knowledge base about clothes, best first."""
        return await services.post("conversational_ai", "rag/query", json={"query": query, "k": k})

    return server


def _photo(path: str | None, image_base64: str | None, local_files: bool) -> bytes:
    if (path is None) == (image_base64 is None):
        raise ToolError("give one of path and image_base64")
    if image_base64 is not None:
        try:
            return base64.b64decode(image_base64, validate=True)
        except binascii.Error as error:
            raise ToolError(f"image_base64 is no base64: {error}") from None
    assert path is not None
    if not local_files:
        raise ToolError("this server reads no files of its own machine; send image_base64")
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from None


def _sent(items: list[OutfitItem]) -> list[dict[str, Any]]:
    return [item.model_dump(mode="json", exclude_none=True) for item in items]


def _told(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return f"{error['message']}. {error['hint']}"
    except (ValueError, KeyError, TypeError):
        return f"status {response.status_code}"
