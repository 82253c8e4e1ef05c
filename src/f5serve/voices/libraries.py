"""Voice libraries of tenants: each has its own, and reads the voices of the tenant `public`.

acme: ana         -> tenants/acme/voices/_records/ana.json
acme: public/ana  -> tenants/public/voices/_records/ana.json, read-only
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from f5serve.download.url import FetchLimits
from f5serve.secrets import PUBLIC
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.namespace import tenant_store
from f5serve.types import Voice
from f5serve.voices.catalog import MAX_PAGE, Page
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from f5serve.voices.names import (
    VoiceNotFound,
    check_name,
    is_public,
    own_name,
    public_name,
    read_only_error,
)
from f5serve.voices.prepare import NO_TRANSCRIBER, Transcriber
from f5serve.voices.records import Consent, VoiceRecord


def open_library(
    settings: Settings, store: ObjectStore, transcriber: Transcriber = NO_TRANSCRIBER
) -> VoiceLibrary:
    """The library of F5_TENANT; nothing is read or written yet.

    Args:
        store: the whole store, whoever's voices are wanted.
    """
    return VoiceLibraries(settings, store, transcriber).of(settings.tenant)


class VoiceLibraries:
    """The libraries over one store, each opened once; any thread may call.

    Args:
        settings: limits, and the folder of the caches.
        store: the whole store.
        options: None takes them from the settings.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        transcriber: Transcriber = NO_TRANSCRIBER,
        options: LibraryOptions | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._transcriber = transcriber
        self._options = options or LibraryOptions(
            fetch_limits=FetchLimits(allow_http=settings.allow_http_urls)
        )
        self._lock = threading.RLock()
        self._opened: dict[str, VoiceLibrary] = {}

    def of(self, tenant: str) -> VoiceLibrary:
        """The library of a tenant; "" is the one without a tenant."""
        with self._lock:
            if tenant not in self._opened:
                self._opened[tenant] = self._open(tenant)
            return self._opened[tenant]

    def _open(self, tenant: str) -> VoiceLibrary:
        folder = self._settings.data_dir / "cache"
        return TenantLibrary(
            tenant_store(self._store, tenant),
            (folder / "tenants" / tenant if tenant else folder) / "voices",
            self._settings.require_consent,
            self._transcriber,
            self._options,
            public=None if tenant == PUBLIC else self.of(PUBLIC),
        )


class TenantLibrary(VoiceLibrary):
    """A library that also reads the voices of the tenant `public`, under `public/NAME`.

    Arguments, results and errors as those of `VoiceLibrary`; what would change a public voice
    raises VOICE_READ_ONLY.

    Args:
        public: the library of that tenant; None where this is it.
    """

    def __init__(  # noqa: PLR0913 - as that of the base class
        self,
        store: ObjectStore,
        cache_dir: Path,
        require_consent: bool = False,
        transcriber: Transcriber = NO_TRANSCRIBER,
        options: LibraryOptions | None = None,
        public: VoiceLibrary | None = None,
    ) -> None:
        super().__init__(store, cache_dir, require_consent, transcriber, options)
        self._others = public
        self._public: VoiceLibrary = public or self

    @property
    def public(self) -> VoiceLibrary:
        """The library of the tenant `public`."""
        return self._public

    def get(self, name: str | None, style: str | None = "") -> Voice:
        """See `VoiceLibrary.get`."""
        if name is None or not is_public(name):
            return super().get(name, style)
        try:
            voice = self._public.get(check_name(own_name(name)), style)
        except VoiceNotFound as error:
            raise _publicly(error, name) from None
        return replace(voice, name=public_name(voice.name))

    def get_record(self, name: str, style: str = "") -> VoiceRecord:
        """See `VoiceLibrary.get_record`."""
        if not is_public(name):
            return super().get_record(name, style)
        try:
            return _shared(self._public.get_record(own_name(name), style))
        except VoiceNotFound as error:
            raise _publicly(error, name) from None

    def styles(self, name: str) -> tuple[str, ...]:
        """See `VoiceLibrary.styles`."""
        if is_public(name):
            return self._public.styles(check_name(own_name(name)))
        return super().styles(name)

    def all_styles(self) -> Mapping[str, tuple[str, ...]]:
        """See `VoiceLibrary.all_styles`."""
        own = super().all_styles()
        if self._others is None:
            return own
        shared = self._others.all_styles()
        return {**own, **{public_name(name): styles for name, styles in shared.items()}}

    def exists(self, name: str) -> bool:
        """See `VoiceLibrary.exists`."""
        if is_public(name):
            return self._public.exists(check_name(own_name(name)))
        return super().exists(name)

    def is_listed(self, name: str) -> bool:
        """See `VoiceLibrary.is_listed`."""
        if is_public(name):
            return self._public.is_listed(check_name(own_name(name)))
        return super().is_listed(name)

    def similar_names(self, name: str) -> tuple[str, ...]:
        """See `VoiceLibrary.similar_names`."""
        if is_public(name):
            return tuple(map(public_name, self._public.similar_names(own_name(name))))
        return super().similar_names(name)

    def put(  # noqa: PLR0913 - as that of the base class
        self,
        name: str,
        data: bytes,
        ref_text: str = "",
        language: str = "",
        consent: Consent | None = None,
        owner: str = "",
        normalize: str | Sequence[str] = "",
        style: str = "",
    ) -> VoiceRecord:
        """See `VoiceLibrary.put`."""
        if is_public(name):
            raise read_only_error(name)
        return super().put(name, data, ref_text, language, consent, owner, normalize, style)

    def delete(self, name: str, style: str | None = None) -> None:
        """See `VoiceLibrary.delete`."""
        if is_public(name):
            raise read_only_error(name)
        super().delete(name, style)

    def list(self, update_index: bool = True) -> list[VoiceRecord]:
        """See `VoiceLibrary.list`; public voices come behind the own ones."""
        own = super().list(update_index)
        return own if self._others is None else [*own, *map(_shared, self._others.list(False))]

    def page(self, after: str = "", limit: int = MAX_PAGE) -> Page:
        """See `VoiceLibrary.page`; public voices come behind the own ones."""
        limit = min(max(limit, 1), MAX_PAGE)
        own = Page([], False) if is_public(after) else super().page(after, limit)
        if own.has_more or self._others is None:
            return own
        room = limit - len(own.records)
        behind = own_name(after) if is_public(after) else ""
        shared = self._others.page(behind, max(room, 1))
        records = [_shared(record) for record in shared.records[:room]]
        return Page([*own.records, *records], shared.has_more or len(shared.records) > room)


def _shared(record: VoiceRecord) -> VoiceRecord:
    """The record of a public voice as others see it."""
    return replace(record, name=public_name(record.name))


def _publicly(error: VoiceNotFound, name: str) -> VoiceNotFound:
    return VoiceNotFound(name, tuple(map(public_name, error.near)))
