"""What the services of all tenants in one process share: engine, threads, metrics, limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from f5serve.jobs.record_reader import UnreadableRecords
from f5serve.metrics import Registry
from f5serve.process import log_failure
from f5serve.service.active_jobs import DetachedTasks
from f5serve.service.admission import AdmissionController
from f5serve.service.dependencies import ServiceOptions
from f5serve.service.dubs import subtitle_fetcher
from f5serve.service.executor import InferenceExecutor, Pools
from f5serve.service.health import HealthChecks
from f5serve.service.metrics import Metrics, watch_process
from f5serve.service.queue_rounds import JobSlots, QueueScans
from f5serve.service.supervisor import Supervisor
from f5serve.service.upkeep import VoiceMaintenance, maintain_indexes, maintain_voices
from f5serve.settings import Settings
from f5serve.startup import default_options
from f5serve.store.atomic import remove_stale
from f5serve.store.base import ObjectStore
from f5serve.store.bounded import BoundedStore
from f5serve.store.namespace import NamespaceStore
from f5serve.synthesis.synthesizer import Synthesizer

if TYPE_CHECKING:
    from f5serve.service.service import SpeechService


class Runtime:
    """The shared parts of one process, used within one event loop.

    Args:
        store: that of the first tenant; health looks at the whole of it.
        load_speech: as `SpeechService`.

    Attributes:
        services: that of each tenant that is open, in the order in which they were opened.
        is_closing: no more jobs are taken.
    """

    def __init__(
        self,
        store: ObjectStore,
        load_speech: Callable[[], Synthesizer],
        settings: Settings,
        options: ServiceOptions,
    ) -> None:
        self.settings, self.options = settings, options
        self.defaults = default_options(settings)
        whole = store.inner if isinstance(store, NamespaceStore) else store
        self.store = whole if isinstance(whole, BoundedStore) else BoundedStore(whole)
        self.metrics = Metrics(options.registry or Registry())
        self.background = Supervisor(self.metrics.registry)
        self.damage = UnreadableRecords(lambda code: self.metrics.unreadable.labels(code).inc())
        self.health_checks = HealthChecks(self.store, options.examine, self.damage)
        self.executor = InferenceExecutor(load_speech, options.models)
        self.pools = Pools()
        self.admission = AdmissionController(settings.max_queue_s)
        self.slots = JobSlots(self.executor, settings.concurrency)
        self.scans = QueueScans(options.poll_s)
        self.detached = DetachedTasks()
        self.fetch_subtitles = subtitle_fetcher(settings.allow_http_urls, options.network)
        self.folder = settings.data_dir / "scratch"
        self.services: list[SpeechService] = []
        self.is_closing = False
        self._libraries: list[VoiceMaintenance] = []
        self._stores: list[ObjectStore] = []
        self._watch()

    def add(self, service: SpeechService, store: ObjectStore) -> None:
        """Maintain the service of a tenant, and end it with this process."""
        self.services.append(service)
        self._libraries.append(VoiceMaintenance(service.voices, store))
        self._stores.append(store)

    def begin(self) -> None:
        """Start loading the model, and the tasks beside requests; in the event loop."""
        self.executor.models.begin()
        if self.options.models is not None:
            self.executor.models.preload(self.options.models.preloaded)
        upkeep = partial(maintain_voices, self._libraries, self.pools.upkeep)
        self.background.begin("voices", upkeep)
        log_failure(
            self.pools.checks.submit(remove_stale, self.folder), "sweeping the scratch folder"
        )
        if self.options.enqueue is None:
            self.metrics.watch_queues(lambda: len(self.scans), lambda: self.scans.scanned_at)
            self.background.begin("queue", self.scans.run)
            indexing = partial(maintain_indexes, self._stores, self.pools.listings)
            self.background.begin("index", indexing)

    def close(self) -> None:
        """Let go of the device and of the threads."""
        self.executor.close()
        self.pools.close()

    def _watch(self) -> None:
        """Have the metrics read what changes by itself."""
        self.metrics.watch_device(self.executor, lambda: self.admission.backlog_s)
        self.metrics.watch_store(lambda: self.store.hung)
        self.metrics.watch_voices(lambda: sum(each.voices.unreadable for each in self.services))
        watch_process(self.metrics.registry, self.settings.data_dir)
