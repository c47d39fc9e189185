"""What a runner answers from, and how it follows the release: another one is loaded beside it, tested, and takes its place.

A request takes `now()` once, when it begins, and keeps what it got to its end. What served before is freed when the last such
request has ended. The thread that loads has the priority of those that answer: under load a lower one makes a second of its work
ten, and while it holds Python's lock, those that answer wait for it.

Before a first night no release has the model: the process waits for one that has, and then begins.

A release that cannot be loaded, or does not answer as its models did when they were trained, never serves: what serves stays, the
log and `degraded` say so once, and it is not tried again until there is another one. What another try may mend (a registry that
is restarted, a full disk) is tried again.
"""

from __future__ import annotations

import ctypes
import gc
import random
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from aura.errors import (
    AuraError,
    IndexNotReadyError,
    IndexUnavailableError,
    RegistryUnavailableError,
    told_storage_error,
)
from aura.releases import Release
from bentos.serving.assets import Assets
from bentos.serving.messages import ModelVersion, ReleaseVersions
from bentos.serving.metrics import FAILED_SWITCHES, SWITCHES
from bentos.serving.request_log import logger

if TYPE_CHECKING:
    from inference.retrieval.search import Index

POLL_SECONDS = 1.0
"""Between two looks at the release, on average: all runners together must not ask the registry at one moment."""
AWAY_SECONDS = 30.0
"""Time without an answer of the registry after which a service says that it cannot follow."""
KEEP_SECONDS = 10.0
"""Time for which what served before still answers a request that names its release: the next part of a chat answer."""
RETRY_SECONDS = 30.0
"""Pause before a release is tried again that may be mended."""
INDEX_SECONDS = 10.0
"""Between two questions to an object store that holds the index."""
_NO_STORE = "passages and items may not be found: the object store of the index does not answer"


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """Parts of one release, tested; nothing of it changes. Each runner adds its model.

    Attributes:
        model_name: name of its model in the release.
        index: None where the release has none, or where it could not be opened at the start.
    """

    release: Release
    model_name: str
    index: Index | None

    @property
    def version(self) -> ModelVersion:
        return ModelVersion(name=self.model_name, version=self.release.models[self.model_name])

    @property
    def versions(self) -> ReleaseVersions:
        """What an answer that is made from it carries."""
        versions = {self.model_name: self.release.models[self.model_name]}
        if self.index is not None:
            versions["index"] = str(self.index.version)
        return ReleaseVersions(id=str(self.release.number or ""), versions=versions)

    def has_model_of(self, release: Release) -> bool:
        """Whether its model is the one that another release names."""
        return self.release.models[self.model_name] == release.models.get(self.model_name)

    def has_index_of(self, release: Release) -> bool:
        """Whether its index is the one that another release names."""
        return self.index is not None and self.release.index == release.index


LoadedType = TypeVar("LoadedType", bound=Loaded)


class Following(Generic[LoadedType]):
    """Holds what serves, and replaces it when the release changes.

    Args:
        model_name: name of its model in a release.
        open_index: opens the index of a release; None where it has none.
        load: makes a release with its index ready and tests it; also gets what serves now, to take from it what did not change.
    """

    def __init__(
        self,
        assets: Assets,
        model_name: str,
        open_index: Callable[[Release], Index | None],
        load: Callable[[Release, Index | None, LoadedType | None], LoadedType],
    ) -> None:
        """Load what serves now, once a release has the model; while the registry is away, what served here last; while the index
        is, without it.

        Raises:
            AuraError: neither the release that serves nor the one before can be loaded.
        """
        self._assets = assets
        self._open_index = open_index
        self._load = load
        self._before: tuple[LoadedType, float] | None = None
        """What served before, and until when it answers requests that name it."""
        self._leaving: list[weakref.ref[LoadedType]] = []
        """What answers its last requests."""
        self._not_served: tuple[Release, float] | None = None
        """Release that was refused, and when it is tried again (`inf`: never)."""
        self._seen_at = time.monotonic()
        self._away = False
        self._loading = False
        self._index_asked_at = -INDEX_SECONDS
        self._index_away = False
        self._lacks_index = False
        """Whether the object store of the index was away at the start; the release is loaded again when it may be back."""
        self._now = self._first(model_name)
        if assets.follows:
            threading.Thread(target=self._follow, name="following", daemon=True).start()

    def now(self) -> LoadedType:
        """What to answer from; take it once per request."""
        return self._now

    def of(self, release_id: str) -> LoadedType:
        """What the first part of an answer was made from, if it is still there; else what serves now."""
        before = self._before
        if before is not None and before[0].versions.id == release_id:
            return before[0]
        return self._now

    @property
    def degraded(self) -> list[str]:
        """Why newer releases do not serve, in words for callers."""
        reasons = []
        serving = self._now.release.number
        if self._not_served is not None and self._not_served[0] != self._now.release:
            broken = self._not_served[0].number
            reasons.append(f"answers stay with release {serving}: release {broken} cannot serve; the log says why")
        away = time.monotonic() - self._seen_at
        if self._assets.follows and not self._loading and away > AWAY_SECONDS:
            reasons.append(f"answers stay with release {serving}: the registry has not answered for {away:.0f} seconds")
        if self._index_away or self._lacks_index:
            reasons.append(_NO_STORE)
        return reasons

    def look(self) -> None:
        """Look once which release serves, and load it if it is another one."""
        self._follow_release()
        # After it: a new release waits neither for a store that is away nor for memory that is given back.
        self._ask_index()
        self._let_go()

    def _follow_release(self) -> None:
        try:
            release = self._assets.release()
        except AuraError as error:
            if not self._away:
                logger.warning("cannot see which release serves, staying with %s: %s", self._now.release, error)
            self._away = True
            return
        self._away = False
        self._seen_at = time.monotonic()
        if release == self._now.release and not self._lacks_index:
            self._not_served = None
        elif self._not_served is None or self._not_served[0] != release or time.monotonic() >= self._not_served[1]:
            self._switch(release)

    def _ask_index(self) -> None:
        """Note whether an object store that holds the index answers: a search may be the first to find out otherwise."""
        index = self._now.index
        if index is None or not index.is_remote or time.monotonic() < self._index_asked_at + INDEX_SECONDS:
            return
        try:
            index.probe()
            away = False
        except AuraError as error:
            away = True
            if not self._index_away:
                logger.warning("the index is away: %s", error)
        self._index_away, self._index_asked_at = away, time.monotonic()

    def _let_go(self) -> None:
        """Keep what served before no longer than `KEEP_SECONDS`, and give its memory back when its last request has ended."""
        if self._before is not None and time.monotonic() > self._before[1]:
            self._leaving.append(weakref.ref(self._before[0]))
            self._before = None
        used = [leaving for leaving in self._leaving if leaving() is not None]
        if len(used) < len(self._leaving):
            _give_memory_back()
        self._leaving = used

    def _switch(self, release: Release) -> None:
        began = time.monotonic()
        self._loading = True
        try:
            now = self._now
            index = now.index if now.has_index_of(release) else self._open_index(release)
            loaded = self._load(release, index, now)
        except Exception as error:  # whatever it is, what serves must go on
            self._refuse(release, error)
            return
        finally:
            self._loading, self._seen_at = False, time.monotonic()
        if self._before is not None:
            self._leaving.append(weakref.ref(self._before[0]))
        self._before = (self._now, time.monotonic() + KEEP_SECONDS)
        self._now = loaded
        self._lacks_index = False
        SWITCHES.inc()
        self._keep(loaded)
        self._not_served = None
        logger.info("answers come from %s now, after %.1f seconds of loading", release, time.monotonic() - began)

    def _refuse(self, release: Release, error: Exception) -> None:
        known = self._not_served is not None and self._not_served[0] == release
        if mends := _may_pass(error):
            self._not_served = (release, time.monotonic() + RETRY_SECONDS)
        else:
            self._not_served = (release, float("inf"))
        if not known:
            FAILED_SWITCHES.inc()
            then = f"it is tried again in {RETRY_SECONDS:.0f} seconds" if mends else "it is not tried again"
            logger.error(
                "%s cannot serve, staying with %s; %s: %s", release, self._now.release, then, error,
                exc_info=None if isinstance(error, AuraError) else error,
            )  # fmt: skip

    def _first(self, model_name: str) -> LoadedType:
        try:
            release = self._first_release(model_name)
        except RegistryUnavailableError as error:
            last = self._assets.last_served(model_name)
            if last is None:
                raise
            logger.warning("beginning with %s, which served here last: %s", last, error)
            self._away = True
            return self._at_start(last)
        try:
            loaded = self._at_start(release)
        except AuraError as error:
            if _may_pass(error):
                raise
            return self._in_place_of(release, error)
        self._keep(loaded)
        return loaded

    def _first_release(self, model_name: str) -> Release:
        """The release that serves; waits for one with the model where none has it yet."""
        release = self._assets.release()
        if model_name in release.models or not self._assets.follows:
            return release
        logger.info("waiting for the first night: %s has no %s model", release, model_name)
        with _ended_by_sigterm():
            while model_name not in release.models:
                _pause()
                release = self._assets.release()
        self._seen_at = time.monotonic()
        return release

    def _in_place_of(self, release: Release, error: AuraError) -> LoadedType:
        """The release before one that cannot be loaded; else, where only its index is damaged, that release without it."""
        before, loaded = self._assets.release_before(release), None
        if before is not None:
            with suppress(IndexNotReadyError):
                loaded = self._at_start(before)
        if loaded is not None:
            logger.error("%s cannot serve, beginning with %s: %s", release, before, error)
            self._not_served = (release, float("inf"))
            return loaded
        if not isinstance(error, IndexNotReadyError):
            raise error
        logger.error("beginning with %s without its index: %s", release, error)
        return self._load(release, None, None)

    def _at_start(self, release: Release) -> LoadedType:
        """A release; without its index while that is away: nothing better is there, and much is answered without it."""
        try:
            loaded, self._lacks_index = self._load(release, self._open_index(release), None), False
        except IndexUnavailableError as error:
            logger.warning("beginning with %s without its index: %s", release, error)
            loaded, self._lacks_index = self._load(release, None, None), True
        return loaded

    def _keep(self, loaded: LoadedType) -> None:
        try:
            self._assets.has_served(loaded.model_name, loaded.release)
        except OSError as error:  # it costs a start while the registry is away
            logger.warning("what serves cannot be noted: %s", error)

    def _follow(self) -> None:
        while True:
            _pause()
            try:
                self.look()
            except Exception:  # a bug here must not end the thread: nothing would be followed any more
                logger.exception("could not follow the release")


def _pause() -> None:
    time.sleep(POLL_SECONDS * random.uniform(0.75, 1.25))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the process at once: the server's handler notes the signal for when the server has started."""
    if threading.current_thread() is not threading.main_thread():  # no signals arrive here
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _may_pass(error: Exception) -> bool:
    """Whether another try may succeed though the release is the same."""
    if isinstance(error, AuraError):
        return error.transient
    return isinstance(error, MemoryError) or told_storage_error(error) is not None


def _give_memory_back() -> None:
    """Free what only cycles of references hold, and return freed memory to the system, which glibc keeps otherwise."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
