"""Checks of a caller's query, and the row conditions made from its filters.

Conditions are built as LanceDB expressions, never as SQL text, so that no value can change their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lancedb.expr import Expr, col

from aura.errors import InvalidRequestError
from aura.taxonomy import CATEGORIES, Category
from inference.retrieval.chunks import ANY, FACETS

MAX_QUERY_CHARS = 2000
Filters = Mapping[str, str | Sequence[str]]


def checked_query(query: str, k: int) -> str:
    """The query without the blanks around it."""
    check_count(k)
    query = query.strip()
    if not query:
        raise InvalidRequestError("the query is empty", hint="ask with at least one word")
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidRequestError(
            f"the query has {len(query)} characters; at most {MAX_QUERY_CHARS} are allowed", hint="shorten the query"
        )
    return query


def check_count(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")


def facet_condition(filters: Filters) -> Expr | None:
    where: Expr | None = None
    for name, wanted in filters.items():
        if name not in FACETS:
            raise InvalidRequestError(f"unknown filter {name!r}; known: {', '.join(FACETS)}", hint="correct the filter")
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        unknown = [value for value in values if value not in FACETS[name]]
        if unknown or not values:
            raise InvalidRequestError(
                f"filter {name} got {wanted!r}; allowed: {', '.join(FACETS[name])}", hint="correct the filter"
            )
        general = [ANY] if ANY in FACETS[name] else []
        condition = col(name).isin([*values, *general])
        where = condition if where is None else where & condition
    return where


def category_condition(category: Category | str | None) -> Expr | None:
    if category is None:
        return None
    if category not in CATEGORIES:
        raise InvalidRequestError(
            f"unknown category {category!r}; allowed: {', '.join(CATEGORIES)}", hint="correct the category"
        )
    return col("category") == str(category)
