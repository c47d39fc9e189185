"""`aura index`: build, search and roll back the knowledge and catalog index."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from aura.paths import profile_paths
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import Profile, load_profile

app = typer.Typer(help="The LanceDB index that answers are grounded in.", no_args_is_help=True)


@app.command()
def build(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    force: Annotated[bool, typer.Option(help="look at every row again, also when nothing changed")] = False,
) -> None:
    """Bring the index up to date with the prepared data, judge it, and serve it if it is good enough."""
    from flows.cli.pipeline import open_workspace
    from flows.stages import run_stage

    with open_workspace(profile, overrides) as workspace:
        limit = workspace.profile.night.stage_timeout_minutes * 60
        for stage in ("prepare", "index"):
            result = run_stage(workspace, stage, timeout_seconds=limit, force=force and stage == "index")
            typer.echo(f"{stage}: {'done' if result.ran else 'nothing to do'} after {result.seconds:.0f} s")
        typer.echo(_release(workspace.profile, "the index was built"))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="a question, or words")],
    k: Annotated[int, typer.Option(help="how many results", min=1, max=50)] = 5,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="search the catalog's items instead of the knowledge")
    ] = False,
    profile: ProfileOption = "sample",
    as_json: JsonOption = False,
) -> None:
    """Search what is served now."""
    from inference.retrieval.search import Index

    index = Index.open(_address(load_profile(profile)))
    if catalog:
        found = [
            {"item_id": hit.item_id, "title": hit.title, "category": hit.category, "score": round(hit.relevance, 4)}
            for hit in index.search_catalog(query, k)
        ]
    else:
        found = [
            {"slug": hit.slug, "heading": hit.heading, "text": hit.text, "score": round(hit.relevance, 4)}
            for hit in index.search_knowledge(query, k)
        ]
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(*(("title", "category", "item", "score") if catalog else ("page", "section", "text", "score")))
    for hit in found:
        if catalog:
            table.add_row(str(hit["title"]), str(hit["category"]), str(hit["item_id"]), str(hit["score"]))
        else:
            text = str(hit["text"])
            table.add_row(
                str(hit["slug"]),
                str(hit["heading"]),
                text[:160] + ("..." if len(text) > 160 else ""),
                str(hit["score"]),
            )
    Console().print(table if found else "Nothing found.")


@app.command()
def evaluate(
    corpus: Annotated[Path, typer.Option(help="documents: BEIR (JSON Lines), SMART (.I .T .W) or TREC (<DOC>)")],
    queries: Annotated[Path, typer.Option(help="queries in any of these formats")],
    qrels: Annotated[Path, typer.Option(help="judgements: BEIR's TSV, or qrels of TREC or SMART")],
    out: Annotated[Path | None, typer.Option(help="also write the metrics to this JSON file")] = None,
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
) -> None:
    """Judge the search on a public test collection: vectors alone, full text alone, and both as the profile fuses them."""
    from aura.artifact import write_json
    from inference.retrieval.collection import read_collection
    from inference.retrieval.evaluate import evaluate as evaluate_search
    from inference.retrieval.evaluate import show
    from inference.retrieval.search import text_embedder_for

    settings = load_profile(profile, overrides or ()).retrieval
    collection = read_collection(corpus, queries, qrels)
    evaluation = evaluate_search(collection, settings, text_embedder_for(settings.text_embedder))
    show(evaluation, Console())
    if out is not None:
        write_json(out, asdict(evaluation) | {"settings": settings.model_dump(mode="json")})


@app.command()
def rollback(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Serve the index that served before."""
    from inference.retrieval.releases import rollback as roll_back

    settings = load_profile(profile, overrides or ())
    release = roll_back(_address(settings))
    typer.echo(f"index release {release.number} is served again; {_release(settings, 'the index was rolled back')}")


def _address(settings: Profile) -> str:
    return settings.index.address(profile_paths(settings.profile))


def _release(settings: Profile, reason: str) -> str:
    """Make a release with the index that is served now; says what services answer from."""
    if not settings.tracking.enabled:
        return "without a registry there is no release that services follow"
    from aura.registry import Registry
    from flows.releases import make_release

    registry = Registry(settings.tracking, settings.profile)
    release = make_release(registry, _address(settings), reason, settings.serving.device)
    return f"services answer from {release}"
