"""The services of all tenants in one process, each over its own part of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from f5serve.service.dependencies import Enqueue
from f5serve.service.service import SpeechService
from f5serve.store.base import ObjectStore
from f5serve.store.namespace import tenant_store
from f5serve.voices.libraries import VoiceLibraries


class Tenants:
    """Opens the service of a tenant when it is first asked for; used within one event loop.

    Args:
        first: the service of F5_TENANT, which begins and ends those of all tenants.
        default: the tenant whose service that is; "" for the root of the store.
        store: the whole store.
        enqueue: makes the queue behind `mode: async` of a tenant; None keeps jobs in the store.
    """

    def __init__(
        self,
        first: SpeechService,
        default: str,
        store: ObjectStore,
        libraries: VoiceLibraries,
        enqueue: Callable[[str], Enqueue] | None = None,
    ) -> None:
        self._first, self._default = first, default
        self._store, self._libraries = store, libraries
        self._enqueue = enqueue
        self._opened = {default: first}

    def get(self, tenant: str = "") -> SpeechService:
        """The service of a tenant, as `secrets.is_tenant` allows them; "" is F5_TENANT."""
        tenant = tenant or self._default
        service = self._opened.get(tenant)
        if service is None:
            service = self._first.for_tenant(
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
