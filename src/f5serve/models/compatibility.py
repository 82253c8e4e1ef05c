"""Functions that scripts written for earlier F5-TTS workers import; f5serve calls none of them.

    from f5serve.models.compatibility import download_from_s3, sync_models_from_s3

They use the store of the settings (F5_STORE, or S3_BUCKET and AWS_*). True and False are the
answers of the old functions; what those hid behind False, a wrong key or a full disk, is an
`F5Error` here.
"""

from __future__ import annotations

from pathlib import Path

from f5serve.errors import KeyMissing, ModelUnavailable
from f5serve.models.bucket import sync
from f5serve.models.local import find
from f5serve.models.publish import collect_files, precision_of, publish
from f5serve.settings import Settings
from f5serve.store.config import open_store


def download_from_s3(s3_key: str, local_path: str | Path) -> bool:
    """Write what the store holds under a key into a file, whole or not at all.

    Returns:
        False when the store holds nothing under that key.

    Raises:
        F5Error: as `ObjectStore.download`.
    """
    try:
        open_store(Settings.from_environ()).download(s3_key, Path(local_path))
    except KeyMissing:
        return False
    return True


def upload_to_s3(local_path: str | Path, s3_key: str, content_type: str = "") -> str:
    """Put a file into the store; returns a URL from which it can be fetched for F5_URL_EXPIRES_S.

    Raises:
        F5Error: as `ObjectStore.put_file`.
    """
    settings = Settings.from_environ()
    store = open_store(settings)
    store.put_file(s3_key, Path(local_path), content_type)
    return store.url(s3_key, settings.url_expires_s)


def sync_models_from_s3(model_id: str = "") -> bool:
    """Bring a model from the store into F5_MODELS_DIR; "" is F5_MODEL. See `bucket.sync`.

    Returns:
        False when the store has none that this version can use.

    Raises:
        F5Error: as `bucket.sync`.
    """
    settings = Settings.from_environ()
    try:
        sync(open_store(settings), model_id or settings.model, settings.models_dir)
    except ModelUnavailable as error:
        if error.code != "MODEL_NOT_IN_STORE":
            raise
        return False
    return True


def upload_models_to_s3(model_id: str = "") -> bool:
    """Put a model of F5_MODELS_DIR into the store; "" is F5_MODEL. See `publish.publish`.

    What was converted goes, else the file as it was published; `f5serve models push` converts.

    Returns:
        False when the model is not on this machine.

    Raises:
        F5Error: as `publish.publish`.
    """
    settings = Settings.from_environ()
    model_id = model_id or settings.model
    here = find(model_id, settings.models_dir)
    precision = precision_of(here.weights) if here else None
    try:
        plan = collect_files(model_id, precision or "published", settings.models_dir)
    except ModelUnavailable as error:
        if error.code != "MODEL_NOT_PULLED":
            raise
        return False
    publish(open_store(settings), plan)
    return True
