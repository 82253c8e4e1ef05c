"""Judges what other rooms know: the store, voices, models and the build.

Facts flow in, findings flow out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from f5serve.doctor.facts import Facts, ModelFacts, StoreFacts
from f5serve.doctor.findings import MODEL, STORAGE, Finding, ok

SKEW_S = 60.0
"""Seconds between two clocks that are worth a word."""
MOST_SKEW_S = 900.0
"""S3 refuses requests from clocks that are further apart."""
SLOW_S = 10.0


def check_store(facts: Facts) -> Iterator[Finding]:
    """Whether the store keeps, returns, signs and removes."""
    if facts.store is None:
        return
    bucket = facts.store.is_shared
    if bucket and facts.package("boto3") is None:
        yield Finding(
            "fatal",
            "store",
            "EXTRA_MISSING",
            "A bucket is set, and the S3 library is not installed.",
            "no boto3",
            "Without it no bucket can be reached.",
            "Run: pip install 'f5serve[s3]'",
            STORAGE,
        )
    elif facts.store.step:
        yield _failed(facts.store)
    else:
        yield from _working(facts.store)


def _failed(store: StoreFacts) -> Finding:
    keeps = store.step == "delete"
    names = {"get": "reading back", "put": "writing", "url": "signing", "open": "opening"}
    doing = names.get(store.step, "removing")
    return Finding(
        "warning" if keeps else "fatal",
        "store",
        "STORE_KEEPS" if keeps else store.code,
        f"The store fails at {doing} a small object.",
        f"{store.description}: {store.message}",
        "Old results cannot be removed."
        if keeps
        else "Voices, results and the records of jobs are kept there.",
        store.hint,
        0 if keeps else store.exit_code or STORAGE,
    )


def _working(store: StoreFacts) -> Iterator[Finding]:
    if store.tried:
        tried = "put, read, signed and removed" if store.has_urls else "put, read and removed"
        yield ok("store", "store", f"{store.description}: {tried} in {store.seconds:.1f} s")
    if store.url_error:
        yield Finding(
            "warning",
            "store",
            "URL_UNREADABLE",
            "What a signed URL leads to cannot be fetched.",
            store.url_error,
            "Callers get such URLs as audio_url.",
            "Check endpoint and region; a provider without signed URLs needs return_audio=base64.",
        )
    if store.skew_s is not None and abs(store.skew_s) > SKEW_S:
        is_fatal = abs(store.skew_s) > MOST_SKEW_S
        yield Finding(
            "fatal" if is_fatal else "warning",
            "store",
            "CLOCK_SKEW",
            "The clock of this machine differs from that of the store.",
            f"{-store.skew_s:+.0f} s",
            "Beyond 15 minutes every request is refused with 403; before, signed URLs are off.",
            "Set the clock of this machine, for example by NTP.",
            STORAGE if is_fatal else 0,
        )
    if store.seconds > SLOW_S:
        yield Finding(
            "warning",
            "store",
            "STORE_SLOW",
            "The store takes long for a small object.",
            f"{store.seconds:.1f} s",
            "Each job makes several such calls.",
            "Take a bucket in the region of the workers.",
        )


def check_jobs(facts: Facts) -> Iterator[Finding]:
    """Whether the records of the newest jobs can be read."""
    if facts.jobs is not None:
        yield from unreadable_records(facts.jobs.unreadable, facts.jobs.first)


def unreadable_records(counts: Mapping[str, int], first: str) -> Iterator[Finding]:
    """What there is to say of records that could not be read: their number by code, and one key."""
    if damaged := counts.get("RECORD_DAMAGED", 0):
        yield Finding(
            "warning",
            "store",
            "RECORD_DAMAGED",
            "Some records of jobs are damaged, or were written by something else.",
            f"{damaged}, such as {first}",
            "These jobs are told as failed; all others are untouched.",
            "Send their requests again, or remove the records.",
        )
    if newer := counts.get("RECORD_TOO_NEW", 0):
        yield Finding(
            "warning",
            "store",
            "RECORD_TOO_NEW",
            "Some records of jobs were written by a later version of f5serve.",
            f"{newer}, such as {first}",
            "This version leaves these jobs alone.",
            "Bring this machine up to date.",
        )


def check_voices(facts: Facts) -> Iterator[Finding]:
    """Whether the library can be listed, and all of it be read."""
    voices = facts.voices
    if voices is None:
        return
    if voices.code:
        yield Finding(
            "warning",
            "voices",
            voices.code,
            "The voices cannot be listed.",
            voices.message,
            "Only the built-in voice can be asked for.",
            voices.hint,
        )
        return
    if voices.unreadable:
        yield Finding(
            "warning",
            "voices",
            "VOICES_UNREADABLE",
            "Some voices have a record that cannot be read.",
            f"{voices.unreadable} of {voices.count + voices.unreadable}",
            "They are missing in list_voices, and speaking with them fails.",
            "Add them anew with f5serve voices add.",
        )
    yield ok("voices", "voices", f"{voices.count} in the library, and the built-in one")


def check_models(facts: Facts) -> Iterator[Finding]:
    """What would speak, and whether its files are the ones that were published."""
    models = facts.models
    if models is None:
        return
    if models.put_aside:
        yield _put_aside(models.put_aside)
    if models.code == "MODEL_MISSING" and models.may_fetch:
        yield _to_fetch(facts)
    elif models.code == "MODEL_MISSING" and not models.engine_installed:
        return  # what is missing first has been said
    elif models.code:
        yield Finding(
            "fatal",
            "models",
            models.code,
            _why_no_model(models.code),
            models.message,
            "F5-TTS cannot speak without it.",
            models.hint,
            models.exit_code or MODEL,
        )
    elif models.kind == "standin":
        yield _standin(facts)
    else:
        yield from _files(models)


def _put_aside(files: Sequence[Path]) -> Finding:
    return Finding(
        "warning",
        "models",
        "MODEL_FILES_PUT_ASIDE",
        "Files of models were found changed and lie beside their places.",
        ", ".join(map(str, files[:3])) + (f" and {len(files) - 3} more" if files[3:] else ""),
        "A disk that fails, a killed copy or a person has changed them; they take room.",
        "See where they come from, then remove them, or give yours its name back as the log says.",
    )


def _to_fetch(facts: Facts) -> Finding:
    offline = facts.variables.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    shared = facts.store is not None and facts.store.is_shared
    if offline and not shared:
        return Finding(
            "fatal",
            "models",
            "OFFLINE_WITHOUT_MODELS",
            "The weights are not here, and HF_HUB_OFFLINE forbids to fetch them.",
            f"HF_HUB_OFFLINE={facts.variables['HF_HUB_OFFLINE']}",
            "F5-TTS cannot speak without weights.",
            "Remove HF_HUB_OFFLINE, attach the cached model, or put the weights into the image.",
            MODEL,
        )
    return Finding(
        "info",
        "models",
        "MODELS_TO_FETCH",
        "The weights are not on this machine; a start fetches them first.",
        facts.settings.model,
        "That is billed, at every cold start of a machine that does not keep them.",
        "Put them into the image or onto the volume, or attach RunPod's cached model.",
    )


def _why_no_model(code: str) -> str:
    return {
        "MODEL_MISSING": "The weights are not on this machine.",
        "UNKNOWN_MODEL": "F5_MODEL names no model that is known.",
        "CHECKPOINT_INCOMPLETE": "A checkpoint of your own is only half named.",
        "LICENSE_FORBIDS": "The licence of the weights forbids commercial use.",
        "UNKNOWN_ARCH": "F5_ARCH names no architecture that is known.",
    }.get(code, "No engine can be chosen.")


def _standin(facts: Facts) -> Finding:
    if facts.settings.engine == "standin":
        return ok("models", "model", "the built-in speaker, as F5_ENGINE says")
    return Finding(
        "warning" if facts.on_runpod else "info",
        "models",
        "STANDIN_SPEAKS",
        "The built-in speaker will answer: it clones no voice.",
        f"no weights of {facts.settings.model}",
        "F5-TTS speaks only where its weights and torch are.",
        "Run f5serve models pull, or set F5_ENGINE=f5 to have it fetched or refused.",
    )


def _files(models: ModelFacts) -> Iterator[Finding]:
    wrong = [file for file in models.files if file.state == "changed"]
    if wrong:
        yield Finding(
            "fatal",
            "models",
            "MODEL_CHANGED",
            "Weights on this machine are not the ones that were published.",
            "; ".join(f"{file.path} is {file.sha256[:16]}" for file in wrong),
            "A damaged file can load and speak noise.",
            "Remove those files, then run f5serve models pull.",
            MODEL,
        )
        return
    if models.hash_error:
        yield Finding(
            "warning",
            "models",
            "MODEL_NOT_HASHED",
            "The weights could not be hashed.",
            models.hash_error,
            "Whether they are whole is not known.",
            "Let this user read them; then run f5serve models verify.",
        )
        return
    states = [file.state for file in models.files]
    told = [f"{states.count(state)} {state}" for state in ("ok", "unknown") if state in states]
    hashes = f", sha256 {' and '.join(told)}" if told else ""
    yield ok("models", "model", f"{models.model}, {len(models.files)} files{hashes}")


def check_build(facts: Facts) -> Iterator[Finding]:
    """Whether what runs is what was built."""
    build = facts.build
    if build is None:
        return
    if build.error:
        yield Finding(
            "warning",
            "build",
            "STAMP_UNREADABLE",
            "The stamp of this copy cannot be read.",
            build.error,
            "Nothing tells what runs here.",
            "Install f5serve anew.",
        )
    elif build.differing:
        yield Finding(
            "warning",
            "build",
            "BUILD_CHANGED",
            "Installed files differ from the ones that were built.",
            ", ".join(build.differing[:8])
            + (f" and {len(build.differing) - 8} more" if len(build.differing) > 8 else ""),
            "What runs is not what the commit says; an old image or an edit in place looks so.",
            "Deploy the image anew, by digest or by a tag that is not :latest.",
        )
    elif build.libraries:
        yield Finding(
            "warning",
            "build",
            "LIBRARIES_CHANGED",
            "Installed libraries are not the ones that the image was built with.",
            "; ".join(build.libraries[:6]),
            "Something installed or removed packages after the build.",
            "Install at build time alone, and deploy the image anew.",
        )
    elif build.dirty:
        yield Finding(
            "warning",
            "build",
            "BUILD_DIRTY",
            "This was built with changes that are in no commit.",
            build.stamp,
            "Nobody can build it again.",
            "Commit, then build from a clean checkout.",
        )
    elif build.commit == "unknown":
        yield Finding(
            "info",
            "build",
            "BUILD_UNSTAMPED",
            "Nothing tells which commit this was built from.",
            build.stamp,
            "Two images cannot be told apart.",
            "Build the wheel in a git checkout.",
        )
    else:
        where = ", a checkout" if build.is_checkout else ""
        yield ok("build", "build", f"{build.stamp}{where}")
