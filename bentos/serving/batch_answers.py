"""How a runner answers a batch: each request is read and answered alone, the model's work in between is done at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from asgi_correlation_id import correlation_id

from bentos.serving.errors import Failure, OverloadedError, answer_or_failure, failure_of
from bentos.serving.messages import RunnerRequest
from bentos.serving.request_log import logger

RequestType = TypeVar("RequestType", bound=RunnerRequest)
Read = TypeVar("Read")
Result = TypeVar("Result")
AnswerType = TypeVar("AnswerType")


def answer_together(
    requests: Sequence[RequestType],
    read: Callable[[RequestType], Read],
    work: Callable[[Sequence[RequestType], Sequence[Read]], Sequence[Result]],
    answer: Callable[[RequestType, Read, Result], AnswerType],
) -> list[AnswerType | Failure]:
    """Answers or failures, in the order of the requests. A request that cannot be answered fails alone.

    Args:
        read: what the work needs of one request.
        work: one result per request. When it fails, it is done again for each request alone, so that one does not cost the others
            their answers.
        answer: from the request, what was read of it, and its result.
    """
    answers: dict[int, AnswerType | Failure] = {}
    understood: dict[int, Read] = {}
    for place, request in enumerate(requests):
        found = _read_in_time(request, read)
        if isinstance(found, Failure):
            answers[place] = found
        else:
            understood[place] = found
    for place, result in _results(requests, understood, work).items():
        if isinstance(result, Failure):
            answers[place] = result
        else:
            answers[place] = answer_or_failure(requests[place], answer, understood[place], result)
    return [answers[place] for place in range(len(requests))]


def _read_in_time(request: RequestType, read: Callable[[RequestType], Read]) -> Read | Failure:
    correlation_id.set(request.request_id)
    try:
        if request.is_overdue:
            raise OverloadedError
        return read(request)
    except Exception as error:
        return failure_of(error)


def _results(
    requests: Sequence[RequestType],
    understood: dict[int, Read],
    work: Callable[[Sequence[RequestType], Sequence[Read]], Sequence[Result]],
) -> dict[int, Result | Failure]:
    places = list(understood)
    if not places:
        return {}
    try:
        results = work([requests[place] for place in places], list(understood.values()))
        return dict(zip(places, results, strict=True))
    except Exception as error:
        if len(places) == 1:
            correlation_id.set(requests[places[0]].request_id)
            return {places[0]: failure_of(error)}
        logger.warning("a batch of %d failed; its requests are answered one by one: %r", len(places), error)
    alone: dict[int, Result | Failure] = {}
    for place in places:
        alone |= _results(requests, {place: understood[place]}, work)
    return alone
