"""A BentoML service with a runner of its own, for tests of what serves it."""

from __future__ import annotations

import bentoml


@bentoml.service
class TinyRunner:
    @bentoml.api
    def double(self, number: int) -> int:
        return 2 * number


@bentoml.service
class Tiny:
    runner = bentoml.depends(TinyRunner)

    @bentoml.api
    async def double(self, number: int) -> int:
        return int(await self.runner.to_async.double(number=number))
