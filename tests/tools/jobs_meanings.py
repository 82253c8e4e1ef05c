"""What the fields of jobs are for, in words; `jobs_reference` holds them against the program."""

from __future__ import annotations

_JOB = {"job_id": "job-of-tts"}

OPERATIONS: dict[str, tuple[str, list[dict[str, str]]]] = {
    "tts": (
        "Text to speech.",
        [{"text": "Hello there.", "timing_format": "srt"}],
    ),
    "upload": (
        "A recording to a voice of the library. A voice of that name is replaced.",
        [
            {
                "endpoint": "upload",
                "voice_name": "ana",
                "voice_file": "<recording>",
                "ref_text": "He was not an ill-disposed young man.",
            },
            {"endpoint": "upload", "voice_name": "ana", "voice_file": "<recording>"},
        ],
    ),
    "list_voices": ("All voices of the library.", [{"endpoint": "list_voices"}]),
    "status": ("Where a job stands.", [{"endpoint": "status", **_JOB}]),
    "result": (
        "The answer of a `tts` that is done, with new URLs; nothing is computed.",
        [{"endpoint": "result", **_JOB}],
    ),
    "download": (
        "Where one file of a job is. For word times, `timing_url` takes the place of `audio_url`.",
        [
            {"endpoint": "download", **_JOB},
            {"endpoint": "download", **_JOB, "type": "timing"},
        ],
    ),
    "cancel": (
        "Have a job end, wherever it is. One that is over stays as it is.",
        [{"endpoint": "cancel", **_JOB}],
    ),
    "delete_voice": (
        "Remove a voice: its recording, its words, and what is known of it.",
        [{"endpoint": "delete_voice", "voice_name": "ana"}],
    ),
    "health": ("What this worker is, and how it is.", [{"endpoint": "health"}]),
}
"""What it does, and requests that reach every field; the first is answered."""

TAKES = {"text": "text of at most F5_MAX_TEXT_CHARS characters"}
"""Where the program has words of its own for what it refuses."""

FIELDS = {
    "text": "What to say.",
    "local_voice": "Name in the library, or the https URL of a recording; a packaged voice else.",
    "voice": "Another name of `local_voice`.",
    "ref_text": "The words spoken in the recording; without them they are written down by the "
    "recogniser, where there is one.",
    "consent": "That the person who is heard agrees to be cloned; for recordings under URLs, and "
    "where F5_REQUIRE_CONSENT is set.",
    "response_format": "Format of the audio.",
    "speed": "1 is as in the recording.",
    "seed": "The same seed gives the same speech; without it one is made up, and told.",
    "nfe_step": "Steps of the sampler; the default is F5_QUALITY's.",
    "cfg_strength": "How closely voice and text are followed.",
    "sway_sampling_coef": "Where the steps of the sampler are spent.",
    "cross_fade_s": "How long sentences fade into one another.",
    "remove_silence": "Shorten long pauses.",
    "quick_start": "Begin with a short stretch, so that a listener hears it soon.",
    "verify": "Hear what was spoken, and speak again what is not understood.",
    "model": "Refused unless it is the model that speaks here.",
    "return_word_timings": "Whether `word_timings` are wanted.",
    "timing_format": "Files of word times to be written.",
    "timing_method": "Of older clients; there is one method.",
    "return_audio": "`url` unless sent; `base64` puts the audio into the answer, up to 6 MB.",
    "mode": "`sync` unless sent; `async` answers `job_id` and status QUEUED at once.",
    "timeout_s": "How long the work itself may take.",
    "voice_name": "Of the voice, with or without an ending such as .wav.",
    "with_results": "Remove all speech that was made in it as well: jobs, audio, texts and word "
    "times. Every job of the store is read for it, which takes minutes where there are many.",
    "language": "That is spoken, ISO 639-1.",
    "voice_file": "The recording in base64.",
    "voice_file_url": "The recording's https URL, instead of `voice_file`.",
    "text_file": "The words spoken in it: a text file in base64, instead of `ref_text`.",
    "text_file_url": "The https URL of such a file, instead of both.",
    "job_id": "As `tts` has answered it.",
    "type": "`audio` unless sent.",
    "format": "Of the file of word times; `srt` unless sent.",
}
"""By name, or by operation and name where it means something else there."""

_ANSWER = {
    "job_id": "RunPod's own id of the job.",
    "status": "COMPLETED.",
    "audio_url": "Signed, for F5_URL_EXPIRES_S; `result` gives new ones.",
    "duration": "Of the speech, in seconds.",
    "sample_rate": "24000.",
    "format": "Of the audio.",
    "seed": "That was used.",
    "text": "As it was spoken.",
    "voice": "Whose.",
    "model": "Which spoke.",
    "word_timings": "`word`, `start_time`, `end_time` in seconds, `confidence`.",
    "timing_files": "URLs of the files by format.",
    "timing_format": "The first of them.",
    "timing_method": "Who found out when words are heard.",
    "timing_confidence": "Of all words, 0 to 1.",
    "word_count": "How many.",
    "verification": "What was heard, where it was asked for.",
    "cached": "Whether an equal request had been answered before.",
    "warnings": "Sentences.",
    "metrics": "Seconds by phase, and `rtf`.",
    "worker": "`version` and `commit`.",
}

ANSWERS: dict[str, dict[str, str]] = {
    "tts": _ANSWER,
    "result": _ANSWER,
    "upload": {
        "status": "A sentence.",
        "voice": "As in `list_voices`, with its consent.",
        "warnings": "What is odd about its transcript, such as capitals.",
    },
    "list_voices": {
        "voices": "`voice_file`, `name`, `text_file`, `size`, `last_modified`, `duration_s`, "
        "`language`, `needs_review`, `transcript_confidence`.",
        "count": "How many.",
        "status": "success.",
    },
    "status": {
        "job_id": "That was asked about.",
        "status": "QUEUED, PROCESSING, COMPLETED, ERROR or CANCELLED; of a failed job, `failure` "
        "tells why.",
        "progress": "`phase` and `percent`.",
    },
    "download": {
        "job_id": "That was asked about.",
        "audio_url": "Signed.",
        "content_type": "Of the file.",
        "filename": "To save it under.",
        "format": "Of the file.",
        "status": "ready.",
    },
    "cancel": {"job_id": "That was asked about.", "status": "As in `status`."},
    "delete_voice": {"status": "A sentence."},
    "health": {
        "status": "ok, degraded, loading or failed.",
        "version": "Of f5serve.",
        "commit": "That it was built of.",
        "dirty": "Whether files were changed since; null where that is not known.",
        "build": "When, and of what, the image was built.",
        "model": "`name` and `state`.",
        "store": "ok, slow, or the code of what it says.",
        "device": "That computes.",
        "queue": "`jobs`, `waiting`, `estimated_s`.",
        "background": "Tasks beside the requests, by name: `running`, `faults`, `last_fault`.",
        "metrics": "Counted since the start.",
        "doctor": "Findings, from the start on.",
        "disk": "Room on each.",
        "age_s": "Seconds since store and machine were looked at; null before the first look.",
        "start": "Where the seconds of the start went.",
    },
}
"""What an answer holds; exactly this."""
