"""The services of all tenants in one process, each over its own part of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from f5serve.service.dependencies import Enqueue, ServiceOptions
from f5serve.service.service import SpeechService
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.namespace import tenant_store
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.libraries import VoiceLibraries


class Tenants:
    """Opens the service of a tenant when it is first asked for; used within one event loop.

    Args:
        store: the whole store.
        libraries: over that store.
        load_speech, options: as of the service of F5_TENANT.
        enqueue: makes the queue behind `mode: async` of another tenant; None keeps jobs in the
            store.

    Attributes:
        first: the service of F5_TENANT, which begins and ends those of all tenants.
    """

    def __init__(  # noqa: PLR0913 - wired once, at the start
        self,
        store: ObjectStore,
        libraries: VoiceLibraries,
        load_speech: Callable[[], Synthesizer],
        settings: Settings,
        options: ServiceOptions | None = None,
        enqueue: Callable[[str], Enqueue] | None = None,
    ) -> None:
        self._store, self._libraries = store, libraries
        self._default, self._enqueue = settings.tenant, enqueue
        own, voices = tenant_store(store, settings.tenant), libraries.of(settings.tenant)
        self.first = SpeechService(own, voices, load_speech, settings, options)
        self._opened = {settings.tenant: self.first}

    def get(self, tenant: str = "") -> SpeechService:
        """The service of a tenant, as `secrets.is_tenant` allows them; "" is F5_TENANT."""
        tenant = tenant or self._default
        service = self._opened.get(tenant)
        if service is None:
            service = self.first.for_tenant(
                tenant_store(self._store, tenant),
                self._libraries.of(tenant),
                None if self._enqueue is None else self._enqueue(tenant),
            )
            self._opened[tenant] = service
        return service

    def open(self, names: Iterable[str]) -> None:
        """Open these, so that jobs that were left in their queues are done."""
        for name in names:
            self.get(name)
