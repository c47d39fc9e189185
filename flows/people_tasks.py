"""What a night does in the database of the services: it takes feedback, and compares and shortens the prediction log."""

from __future__ import annotations

from datetime import timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.database import in_database
from flows.drift import Drift, drift_of
from flows.feedback import FeedbackCounts, take_feedback
from flows.workspace import FEEDBACK, Workspace
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
