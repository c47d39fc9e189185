"""What a night does in the database of the services: it takes feedback, reads saved outfits, looks after the prediction log."""

from __future__ import annotations

from datetime import timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from bentos.accounts.pictures import Pictures, pictures_folder
from flows.database import in_database
from flows.drift import Drift, drift_of
from flows.feedback import FeedbackCounts, read_lines, take_feedback
from flows.saved_outfits import SavedCounts, SavedOutfit, read_saved, write_saved
from flows.workspace import FEEDBACK, SAVED_OUTFITS, Workspace
from stores.database import Database
from stores.encryption import TextCipher, keys_folder
from stores.predictions import Predictions

NO_DATABASE = "there is no database here: no feedback, no prediction log"


@task(name="feedback", cache_policy=NO_CACHE, persist_result=False)
def feedback_task(workspace: Workspace) -> FeedbackCounts | None:
    """Take what people said of answers; None where there is no database."""

    async def work(database: Database) -> FeedbackCounts:
        return await take_feedback(database, TextCipher(keys_folder()), workspace.folder / FEEDBACK)

    counts = in_database(workspace.profile.serving.database, work)
    get_run_logger().info("feedback: %s", counts or NO_DATABASE)
    return counts


@task(name="saved outfits", cache_policy=NO_CACHE, persist_result=False)
def saved_outfits_task(workspace: Workspace) -> SavedCounts | None:
    """Give the outfit model's training what people have saved; None where there is no database."""
    settings, folder = workspace.profile.night, workspace.folder

    async def work(database: Database) -> list[SavedOutfit]:
        lines, pictures = read_lines(folder / FEEDBACK), Pictures(pictures_folder())
        return await database.run(lambda connection: read_saved(connection, lines, pictures))

    saved = in_database(workspace.profile.serving.database, work)
    if saved is None:
        return None
    counts = write_saved(
        saved, folder / "data", folder / SAVED_OUTFITS, share=settings.saved_share, per_person=settings.saved_per_person
    )
    get_run_logger().info("%s", counts)
    return counts


@task(name="predictions", cache_policy=NO_CACHE, persist_result=False)
def predictions_task(workspace: Workspace) -> list[Drift] | None:
    """Compare the last days of the prediction log with those before, and remove what is too old; None without a database."""
    settings = workspace.profile.night

    async def work(database: Database) -> list[Drift]:
        found = await drift_of(database, settings)
        older_than = timedelta(days=settings.keep_predictions_days)
        removed = 0
        while some := await database.run(lambda connection: Predictions(connection).remove_some(older_than)):
            removed += some
        get_run_logger().info("predictions: removed %d, older than %d days", removed, older_than.days)
        return found

    return in_database(workspace.profile.serving.database, work)
