"""The parts of RunPod's SDK that the worker wraps are the ones it was written against.

When this fails, the SDK has changed. Read what changed in the named parts, run tests/worker, adapt
runpod/job_loop.py and runpod/sdk.py, and then take over the new hashes: run this file as a program,
`python -m tests.worker.test_sdk_pin`, and paste what it prints.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import subprocess
import sys

import pytest

from f5serve.runpod.sdk import USED_API, VERSIONS

READ = {
    "serverless.start": "aa3f846dcfc5da4f",
    "serverless._set_config_args": "7d9129c8df0f9c62",
    "serverless.worker.main": "d1677091eb50dcb3",
    "serverless.worker.run_worker": "ce0b9b3f79f9f9d3",
    "serverless.worker._is_local": "5408b22720ea7b2e",
    "serverless.modules.rp_scale.JobScaler": "b9b75d9270a3ae4f",
    "serverless.modules.rp_job.get_job": "8ce238208ca5261a",
    "serverless.modules.rp_job.get_stop_signals": "031a55cb85064132",
    "serverless.modules.rp_job.handle_job": "849f93639768bc87",
    "serverless.modules.rp_job.run_job": "3d5c3ab8a46d71fd",
    "serverless.modules.rp_job.run_job_generator": "a6742b7e5a56f3f8",
    "serverless.modules.rp_job._job_get_url": "08b9c30905c64480",
    "serverless.modules.rp_job._job_stop_url": "8f3407fceaf421fe",
    "serverless.modules.rp_http.send_result": "686712f850136708",
    "serverless.modules.rp_http.stream_result": "7964e8422e9fc698",
    "serverless.modules.rp_http._handle_result": "ce88ccb812bcc41f",
    "serverless.modules.rp_http._transmit": "fc9d60458af96c8a",
    "serverless.modules.rp_handler.is_generator": "c9ff901decbea7f9",
    "serverless.modules.rp_logger.RunPodLogger": "41935b62649a8f88",
    "serverless.modules.rp_local.run_local": "e3f053c646c6a844",
    "serverless.modules.rp_fitness.register_fitness_check": "04e7f54e5b2c6973",
    "serverless.modules.rp_fitness.run_fitness_checks": "cdfb0bbbce0e2a8d",
    "serverless.modules.rp_ping.Heartbeat": "aa0c15420df377b2",
    "serverless.modules.worker_state.JobsProgress": "36fc501c771d8f2f",
    "http_client.AsyncClientSession": "1c7910233ce3d6d4",
    "http_client.TooManyRequests": "be24b8e7122fb484",
}


def fingerprint(module: str, name: str) -> str:
    source = inspect.getsource(getattr(importlib.import_module(f"runpod.{module}"), name))
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def test_version_is_the_one_the_worker_expects() -> None:
    assert importlib.metadata.version("runpod").startswith(VERSIONS)


@pytest.mark.parametrize(
    ("module", "name"), [(m, n) for m, names in USED_API.items() for n in names]
)
def test_part_of_the_sdk_is_as_it_was_read(module: str, name: str) -> None:
    here = fingerprint(module, name)
    assert READ.get(f"{module}.{name}") == here, f"runpod.{module}.{name} has changed: {__doc__}"


def test_nothing_is_remembered_that_is_not_used() -> None:
    assert set(READ) == {f"{module}.{name}" for module, names in USED_API.items() for name in names}


def test_import_leaves_cpuinfo_alone_and_starts_no_process() -> None:
    look = (
        "import sys; from f5serve.runpod import sdk; sdk.load();"
        "assert 'cpuinfo' not in sys.modules; import cpuinfo; assert cpuinfo.__file__;"
        "from runpod.serverless.utils import rp_debugger; assert rp_debugger.PROCESSOR"
    )
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)


if __name__ == "__main__":
    for _module, _names in USED_API.items():
        for _name in _names:
            sys.stdout.write(f'    "{_module}.{_name}": "{fingerprint(_module, _name)}",\n')
