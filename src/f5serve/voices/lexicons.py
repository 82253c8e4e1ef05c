"""Pronunciation lexicons in the store: one of the library, for all voices, and one for each voice.

The rules of a voice come before those of the library. Speech is made without a lexicon that cannot
be read, and its answer has a warning.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_files import MAX_FILE_BYTES
from f5serve.text.lexicon_rules import (
    LexiconRule,
    RuleSelector,
    check_count,
    folded,
    unique,
)
from f5serve.voices import names
from f5serve.voices.lexicon_records import (
    UNREADABLE,
    VOICES,
    StoredLexicon,
    check_size,
    check_voice,
    damaged_error,
    dump_lexicon,
    lexicon_key,
    load_lexicon,
    voice_of_key,
)
from f5serve.voices.library import VoiceLibrary

_log = logging.getLogger(__name__)

TTL_S: Final = 10.0
"""Seconds that a lexicon, or that there is none, is remembered for speech."""

MAX_PAGE: Final = 100
MAX_CACHED_LEXICONS: Final = 1_000
MAX_CACHED_RULES: Final = 100_000
"""Of all lexicons in memory; a rule takes half a kilobyte."""

_NEVER_READABLE = ("OBJECT_TOO_LARGE", "NOT_A_FILE", "LINK_LEADS_OUT")
_READERS = 8


@dataclass(frozen=True, slots=True)
class LexiconEntry:
    """A lexicon in a list; `error` is the code of one that cannot be read, and `rules` then 0."""

    voice: str
    rules: int = 0
    updated_at: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class LexiconPage:
    """Some lexicons in the order of their voices.

    Attributes:
        lexicons: that of the library first.
        next: the page behind begins after this voice; "" for the last page.
    """

    lexicons: tuple[LexiconEntry, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class LexiconChange:
    """A changed lexicon, and how many rules came, were replaced, and went."""

    lexicon: StoredLexicon
    added: int
    replaced: int
    removed: int


@dataclass(frozen=True, slots=True)
class VoiceLexicon:
    """The rules for the speech of a voice; warnings name what was left out."""

    lexicon: Lexicon
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Cached:
    """What speech knows of one record; used under its lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = float("-inf")
    sha256: bytes = b""
    lexicon: Lexicon = field(default_factory=Lexicon)
    warning: str = ""


class LexiconLibrary:
    """The lexicons of one store, by voice; "" is that of the library. Any thread may call.

    Two servers that change one lexicon at the same time do not see one another: the last one wins.

    Args:
        voices: over the same store; rules for others than these voices are refused.
        other_voices: names of voices that are not in it.
        ttl_s: see TTL_S.
        clock: seconds, for `ttl_s`.
    """

    def __init__(
        self,
        store: ObjectStore,
        voices: VoiceLibrary,
        other_voices: Iterable[str] = (),
        ttl_s: float = TTL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._voices = voices
        self._other_voices = frozenset(map(names.casefold, other_voices))
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        shared = voices.public
        self._public: LexiconLibrary | None = None
        if shared is not None:
            own = (shared.store, shared, other_voices, ttl_s, clock)
            self._public = self if shared is voices else LexiconLibrary(*own)

    def get(self, voice: str = "") -> StoredLexicon:
        """The current lexicon; without rules where a voice has none.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME.
            StorageFailed: LEXICON_DAMAGED, LEXICON_TOO_NEW, or the store's own code.
        """
        if self._public is not None and names.is_public(voice):
            lexicon = self._public.get(names.check_name(names.own_name(voice)))
            return replace(lexicon, voice=names.public_name(lexicon.voice))
        voice = check_voice(voice)
        data = self._read(voice)
        return load_lexicon(self._existing(voice) if data is None else voice, data)

    def put(self, voice: str, rules: Iterable[LexiconRule]) -> StoredLexicon:
        """Replace all rules; without any the lexicon is removed.

        Raises:
            InvalidRequest: BAD_LEXICON for too many rules, VOICE_READ_ONLY, or as `get`.
            StorageFailed: the store's own code.
        """
        voice = self._existing(voice)
        with self._entry(voice).lock:
            return self._write(voice, unique(rules))

    def patch(
        self, voice: str, add: Iterable[LexiconRule] = (), remove: Iterable[RuleSelector] = ()
    ) -> LexiconChange:
        """Remove some rules, then add others in place of those with the same key.

        Raises:
            InvalidRequest: as `put`.
            StorageFailed: as `get`.
        """
        voice = self._existing(voice)
        add, remove = tuple(add), tuple(remove)
        check_count(max(len(add), len(remove)))
        with self._entry(voice).lock:
            before = load_lexicon(voice, self._read(voice)).rules
            kept = _without(before, remove)
            rules = {rule.key: rule for rule in kept}
            new = unique(add)
            replaced = sum(rule.key in rules for rule in new)
            rules.update((rule.key, rule) for rule in new)
            lexicon = self._write(voice, tuple(rules.values()))
        return LexiconChange(lexicon, len(new) - replaced, replaced, len(before) - len(kept))

    def delete(self, voice: str = "") -> None:
        """Remove a lexicon, also one that cannot be read; it need not exist.

        Raises:
            InvalidRequest: BAD_VOICE_NAME, RESERVED_VOICE_NAME, VOICE_READ_ONLY.
            StorageFailed: the store's own code.
        """
        voice = self._own(voice)
        with self._entry(voice).lock:
            self._write(voice, ())

    def page(self, after: str = "", limit: int = MAX_PAGE) -> LexiconPage:
        """That of the library, if there is one, then those of voices in the order of their names.

        Costs one request for each, some at a time.

        Args:
            after: a voice; "" begins with the library.
            limit: lexicons of voices at most, 1 to MAX_PAGE.

        Raises:
            StorageFailed: the store's own code.
        """
        begin = lexicon_key(check_voice(after)) if after else ""
        limit = min(max(limit, 1), MAX_PAGE)
        entries = self._store.page(VOICES, begin, limit)
        voices = [voice for entry in entries if (voice := voice_of_key(entry.key))]
        with ThreadPoolExecutor(_READERS, "lexicons") as pool:
            found = list(pool.map(self._summarize, voices if after else ["", *voices]))
        has_more = len(entries) == limit and bool(voices)
        return LexiconPage(
            tuple(entry for entry in found if entry.rules or entry.error),
            voices[-1] if has_more else "",
        )

    def for_voice(self, voice: str | None) -> VoiceLexicon:
        """The rules for speech in a voice: its own before those of the library. A public voice has
        its rules in its own library, and the rules of this library count for it as well.

        They may be TTL_S seconds old; changes by this process count at once.

        Args:
            voice: a name; None is the packaged voice. A URL has the rules of the library alone.

        Raises:
            InvalidRequest: BAD_VOICE_NAME.
            StorageFailed: the store's own code.
        """
        records: list[tuple[LexiconLibrary, str]] = [(self, "")]
        if voice is not None and self._public is not None and names.is_public(voice):
            records.insert(0, (self._public, check_voice(names.own_name(voice))))
        elif voice is None or not names.is_url(voice):
            records.insert(0, (self, check_voice(voice or names.DEFAULT_NAME)))
        lexicon = Lexicon()
        warnings = []
        for library, name in records:
            found, warning = library._current(name)
            lexicon = lexicon.over(found)
            warnings += [warning] if warning else []
        return VoiceLexicon(lexicon, tuple(warnings))

    def _current(self, voice: str) -> tuple[Lexicon, str]:
        """The lexicon for speech, and a warning if it cannot be read; from memory if it is new."""
        entry = self._entry(voice)
        with entry.lock:
            if self._clock() >= entry.until:
                try:
                    data = self._read(voice)
                    sha256 = hashlib.sha256(data).digest() if data is not None else b""
                    if entry.warning or sha256 != entry.sha256:
                        self._remember(entry, Lexicon(load_lexicon(voice, data).rules), sha256)
                except StorageFailed as error:
                    if error.code not in UNREADABLE:
                        raise
                    _log.warning("%s", error.message)
                    self._remember(entry, Lexicon(), warning=f"{error.message} It is not used.")
                entry.until = self._clock() + self._ttl_s
            return entry.lexicon, entry.warning

    def _remember(
        self, entry: _Cached, lexicon: Lexicon, sha256: bytes = b"", warning: str = ""
    ) -> None:
        entry.lexicon, entry.sha256, entry.warning = lexicon, sha256, warning
        with self._lock:
            count = sum(len(each.lexicon.rules) for each in self._cached.values())
            while count > MAX_CACHED_RULES and len(self._cached) > 1:
                count -= len(self._cached.popitem(last=False)[1].lexicon.rules)

    def _entry(self, voice: str) -> _Cached:
        with self._lock:
            entry = self._cached.setdefault(voice, _Cached())
            self._cached.move_to_end(voice)
            if len(self._cached) > MAX_CACHED_LEXICONS:
                self._cached.popitem(last=False)
            return entry

    def _existing(self, voice: str) -> str:
        """The name of a voice that rules can be written for; "" for the library.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, VOICE_READ_ONLY, or as `get`.
        """
        name = self._own(voice)
        if name and name not in self._other_voices and not self._voices.exists(name):
            raise names.VoiceNotFound(name, self._voices.similar_names(name))
        return name

    def _own(self, voice: str) -> str:
        """The name of a voice of this library, as `check_voice`."""
        if self._public is not None and names.is_public(voice):
            raise names.read_only_error(voice)
        return check_voice(voice)

    def _read(self, voice: str) -> bytes | None:
        try:
            return self._store.get(lexicon_key(voice), MAX_FILE_BYTES)
        except KeyMissing:
            return None
        except StorageFailed as error:
            if error.code not in _NEVER_READABLE:
                raise
            raise damaged_error(voice, "it is no file, or too large") from None

    def _write(self, voice: str, rules: tuple[LexiconRule, ...]) -> StoredLexicon:
        """Write rules, or remove the record without any; under the lock of its entry."""
        entry = self._entry(voice)
        entry.until = float("-inf")
        if not rules:
            self._store.delete(lexicon_key(voice))
            return StoredLexicon(voice)
        check_size(rules)
        now = datetime.fromtimestamp(self._store.now(), UTC).isoformat(timespec="seconds")
        self._store.put(lexicon_key(voice), dump_lexicon(rules, now), "application/json")
        return StoredLexicon(voice, rules, now)

    def _summarize(self, voice: str) -> LexiconEntry:
        try:
            lexicon = load_lexicon(voice, self._read(voice))
        except StorageFailed as error:
            if error.code not in UNREADABLE:
                raise
            return LexiconEntry(voice, error=error.code)
        return LexiconEntry(voice, len(lexicon.rules), lexicon.updated_at)


def _without(
    rules: Iterable[LexiconRule], remove: Iterable[RuleSelector]
) -> tuple[LexiconRule, ...]:
    by_text: defaultdict[str, list[RuleSelector]] = defaultdict(list)
    for selector in remove:
        by_text[selector.key].append(selector)
    return tuple(
        rule
        for rule in rules
        if not any(each.selects(rule) for each in by_text.get(folded(rule.text), ()))
    )
