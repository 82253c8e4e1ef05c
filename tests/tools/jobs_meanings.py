"""What the fields of jobs are for, in words; `jobs_reference` holds them against the program."""

from __future__ import annotations

import base64

_JOB = {"job_id": "job-of-tts"}
CUE = "1\n00:00:00,500 --> 00:00:02,000\nHello there.\n"
BOOK = base64.b64encode(b"It rained all night.").decode()
_BOOK = {"book_id": "the-lamp"}
_BOOK_BY_URL = {"endpoint": "book", "book_url": "https://example.com/the-lamp.epub"}

OPERATIONS: dict[str, tuple[str, list[dict[str, str]]]] = {
    "tts": (
        "Text to speech.",
        [{"text": "Hello there.", "timing_format": "srt"}],
    ),
    "dub": (
        "Subtitles to speech that has their times, with the fields of `tts` as well, but for "
        "`text`, `markup`, `ssml` and `duration_s`.",
        [{"endpoint": "dub", "subtitles": CUE}],
    ),
    "upload": (
        "A recording to a voice of the library, or to a style of it; one of that name is replaced.",
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
    "status": ("The status of a job.", [{"endpoint": "status", **_JOB}]),
    "result": (
        "The answer of a completed `tts`, with new URLs; nothing is computed.",
        [{"endpoint": "result", **_JOB}],
    ),
    "download": (
        "The URL of one file of a job: `audio_url`, or `timing_url` for word timings.",
        [
            {"endpoint": "download", **_JOB},
            {"endpoint": "download", **_JOB, "type": "timing"},
        ],
    ),
    "cancel": (
        "Cancel a job on any worker. A job that has ended is not changed.",
        [{"endpoint": "cancel", **_JOB}],
    ),
    "delete_voice": (
        "Remove a voice with its styles: recordings, transcripts and records.",
        [{"endpoint": "delete_voice", "voice_name": "ana"}],
    ),
    "health": ("Version, state and findings of this worker.", [{"endpoint": "health"}]),
    "book": (
        "A book to speech, chapter by chapter: each is a job of its own in the queue. The same "
        "request again is the same book; with `book_id`, what has not changed is not spoken again.",
        [{"endpoint": "book", "book_file": BOOK, "book_id": "the-lamp"}, _BOOK_BY_URL],
    ),
    "book_status": (
        "How far a book is, with a page of its chapters.",
        [{"endpoint": "book_status", **_BOOK}],
    ),
    "book_review": (
        "The sentences that may be wrong, of a page of chapters, as far as these are done.",
        [{"endpoint": "book_review", **_BOOK}],
    ),
    "book_pause": (
        "Begin no more chapters of a book. Answers as `book_status`.",
        [{"endpoint": "book_pause", **_BOOK}],
    ),
    "book_resume": (
        "Go on with a book; what failed is tried again, and what a changed voice or rule touches "
        "is spoken anew. Answers as `book_status`.",
        [{"endpoint": "book_resume", **_BOOK}],
    ),
    "book_file": (
        "All chapters as one m4b, once they are done. The first request begins to write it; later "
        "ones answer status COMPLETED with `audio_url`, `size` and `sha256`.",
        [{"endpoint": "book_file", **_BOOK}],
    ),
    "delete_book": (
        "End the work on a book, and remove it with all that was made for it.",
        [{"endpoint": "delete_book", **_BOOK}],
    ),
}
"""What it does, and requests that reach every field; the first is answered."""

TAKES = {"text": "text of at most F5_MAX_TEXT_CHARS characters"}
"""Where the program has words of its own for what it refuses."""

FIELDS = {
    "text": "The text to speak.",
    "local_voice": "Name in the library, or the https URL of a recording; default: packaged voice.",
    "voice": "Another name of `local_voice`.",
    "ref_audio": "A recording in place of `voice`: its https URL; with mode `sync` also the file "
    "itself in base64 or as a data: URL.",
    "ref_text": "The words spoken in the recording; without it the recogniser transcribes them, if "
    "one is installed.",
    "consent": "That the speaker agrees to be cloned; required with a recording or its URL if "
    "F5_REQUIRE_CONSENT is set.",
    "language": "Of the text, a BCP 47 tag; without it the text decides, then the voice.",
    "normalize": "Whether numbers, dates, signs and abbreviations are read as words, or the kinds "
    "to leave alone; without it the voice decides, then F5_NORMALIZE.",
    "lexicon": "Rules of pronunciation for this text, before those of the voice and the library.",
    "response_format": "Format of the audio.",
    "sample_rate": "Of the audio, Hz; `mp3`, `aac` and `opus` take the rates of their standards. "
    "`ulaw` and `alaw` have 8000 without it.",
    "bit_rate_kbps": "Of an mp3 or opus file, kbit/s.",
    "speed": "1 is as in the recording.",
    "seed": "The same seed gives the same speech; without it one is chosen and returned.",
    "nfe_step": "Steps of the sampler; the default is F5_QUALITY's.",
    "cfg_strength": "Strength of guidance: how closely voice and text are followed.",
    "sway_sampling_coef": "Distribution of the sampler's steps over time.",
    "cross_fade_s": "Duration of the cross-fade between utterances.",
    "remove_silence": "Shorten long pauses.",
    "markup": "What brackets are that are no tag of a script: text (`auto`, the default) or an "
    "error (`strict`); `off` takes nothing for a tag.",
    "ssml": "The text is SSML.",
    "duration_s": "Seconds that the speech is to last; its speed follows from that.",
    "takes": "Versions of each part of the text, with other seeds; `parts` has their URLs.",
    "quick_start": "Begin with a short utterance, so that streaming starts soon.",
    "verify": "Transcribe the speech, and generate badly recognised utterances again.",
    "wait_for_model": "False: answer MODEL_LOADING at once, where the model is being loaded.",
    "model": "Id of a model: the first one or one of F5_MODELS; else `language` chooses of them.",
    "return_word_timings": "Whether `word_timings` are wanted.",
    "timing_format": "Files of word timings to write.",
    "timing_method": "Sent by older clients; ignored.",
    "return_audio": "Default `url`; `base64` puts the audio into the answer, up to 6 MB.",
    "mode": "Default `sync`; `async` answers `job_id` and status QUEUED at once.",
    "timeout_s": "Time limit of the job, in seconds.",
    "subtitles": "A file of SRT, WebVTT, ASS or SSA. `ana:` at the start of a line, `<v ana>` and "
    "the actors of ASS name voices of the library.",
    "subtitles_url": "The https URL of that file, instead of it.",
    "subtitles_format": "Of a file that does not show it by its heading.",
    "max_speed": "How much faster than `speed` a subtitle may be that is too long for its time; "
    "`warnings` name those that do not fit even so.",
    "voice_name": "Name of the voice, with or without an ending such as .wav.",
    "with_results": "Also remove all results with this voice: jobs, audio, texts and word timings. "
    "This reads every job of the store, which may take minutes.",
    "style": "Of the voice: which of its recordings is cloned, such as happy; without it, the main "
    "one.",
    "upload.style": "Keep it as this style of the voice, which exists already.",
    "delete_voice.style": "Remove this style of it alone.",
    "upload.consent": "That the speaker agrees to be cloned, or the id of a recorded consent, "
    "`cons_...`; required if F5_REQUIRE_CONSENT is set.",
    "upload.language": "Spoken language, a BCP 47 tag such as en or pt-BR.",
    "upload.normalize": "How texts in this voice are read if a request does not say; without it "
    "F5_NORMALIZE decides.",
    "voice_file": "The recording in base64.",
    "voice_file_url": "The recording's https URL, instead of `voice_file`.",
    "text_file": "The transcript as a text file in base64, instead of `ref_text`.",
    "text_file_url": "The https URL of the transcript, instead of both.",
    "job_id": "From the answer of `tts`.",
    "type": "Default `audio`.",
    "format": "Format of the timing file; default `srt`.",
    "book_file": "The book in base64: EPUB, docx, PDF, Markdown, HTML or text.",
    "book_url": "Its https URL, instead of `book_file`.",
    "file_name": "Of the file: its title where it has none; `.md` is Markdown.",
    "book_id": "From the answer of `book`.",
    "book.book_id": "Of a book that is sent again after a change; without it one is made of the "
    "file and the options.",
    "book.voice": "Name of a voice of the library.",
    "book.seed": "Of the book; each sentence has its own, by its text.",
    "book.speed": "2 is twice as fast as in the recording.",
    "book.language": "Of the book; without it the book says it, or its text shows it.",
    "chapters": "Numbers of those that are spoken, as `3-7,9`; without it all but front matter.",
    "alt_text": "Read descriptions of pictures as well.",
    "speakers": "Voices by name; with it `ana: Hello.` and tags such as `[voice:ana]` are read.",
    "sentence_pause": "Silence behind a sentence; default 0.35.",
    "paragraph_pause": "Behind a paragraph; default 0.75.",
    "heading_pause": "Behind a heading; default 1.2.",
    "chapter_pause": "At the end of a chapter; default 2.",
    "after": "Begin behind the chapter of this number.",
    "limit": "How many chapters are answered; default 50.",
}
"""By name, or by operation and name where it means something else there."""

_ANSWER = {
    "job_id": "RunPod's own id of the job.",
    "status": "COMPLETED.",
    "audio_url": "Signed URL, valid for F5_URL_EXPIRES_S; `result` gives a new one.",
    "duration": "Duration of the speech, in seconds.",
    "sample_rate": "Of the audio, Hz.",
    "format": "Format of the audio.",
    "seed": "The seed that was used.",
    "text": "The text as it was written.",
    "spoken_text": "The words that were spoken for it.",
    "parts": "Of a script: text, voice, style, speed, seed, pause, takes of each part, its place "
    "in the text that was sent (`start`, `end`) and in the speech (`start_time`, `end_time`).",
    "script": "The text with seeds written in, which gives the same speech again; null for a text "
    "without tags.",
    "marks": "Marks of SSML: `name` and `time`, null where the times of words are not known.",
    "voice": "Name of the voice.",
    "model": "Model that generated the speech.",
    "word_timings": "`word`, `start_time`, `end_time` in seconds, `confidence`.",
    "timing_files": "URLs of the files by format.",
    "timing_format": "The first of these formats.",
    "timing_method": "The method that measured the word timings.",
    "timing_confidence": "Confidence for all words, 0 to 1.",
    "word_count": "Number of words.",
    "verification": "Result of the verification, on request.",
    "cached": "Whether this is the result of an earlier equal request.",
    "warnings": "Sentences.",
    "metrics": "Seconds by phase, and `rtf`.",
    "worker": "`version` and `commit`.",
}

_BOOK_ANSWER = {
    "book_id": "Of the book.",
    "status": "QUEUED, PROCESSING, PAUSED, COMPLETED or ERROR.",
    "title": "Of the book.",
    "authors": "Of the book.",
    "language": "A BCP 47 tag; null if unknown.",
    "voice": "Name of its voice.",
    "updated_at": "When its record was written, seconds since 1970.",
    "progress": "`done` of `total` chapters, and `percent` of the text.",
    "chapters": "`number`, `title`, `characters`, `status`, `percent`, `failure` and `job_id` of "
    "each; `result` and `download` take the `job_id`.",
    "next": "What `after` takes for the next page; null for the last.",
}
ANSWERS: dict[str, dict[str, str]] = {
    **dict.fromkeys(["book", "book_status", "book_pause", "book_resume"], _BOOK_ANSWER),
    "book_review": {
        "book_id": "Of the request.",
        "sentences": "`chapter` with its `title`, `sentence`, `text`, `why` and `start_time` of "
        "each, as the command's `--review --json` has them.",
        "next": "What `after` takes for the next page; null for the last.",
        "status": "success.",
    },
    "book_file": {
        "book_id": "Of the request.",
        "status": "PROCESSING while the file is written.",
        "percent": "How much of it is written.",
    },
    "delete_book": {"book_id": "Of the request.", "status": "DELETED."},
    "tts": _ANSWER,
    "dub": _ANSWER,
    "result": _ANSWER,
    "upload": {
        "status": "A sentence.",
        "voice": "As in `list_voices`, with its consent, and the `style` that was uploaded.",
        "warnings": "Problems of the transcript, such as capitals.",
    },
    "list_voices": {
        "voices": "`voice_file`, `name`, `text_file`, `size`, `last_modified`, `duration_s`, "
        "`language`, `normalize`, `styles`, `needs_review`, `transcript_confidence`.",
        "count": "Number of voices.",
        "status": "success.",
    },
    "status": {
        "job_id": "Of the request.",
        "status": "QUEUED, PROCESSING, COMPLETED, ERROR or CANCELLED; for a failed job, `failure` "
        "gives the reason.",
        "progress": "`phase` and `percent`.",
    },
    "download": {
        "job_id": "Of the request.",
        "audio_url": "Signed URL.",
        "content_type": "Of the file.",
        "filename": "Suggested name of the file.",
        "format": "Of the file.",
        "status": "ready.",
    },
    "cancel": {"job_id": "Of the request.", "status": "As in `status`."},
    "delete_voice": {"status": "A sentence."},
    "health": {
        "status": "ok, degraded, loading or failed.",
        "version": "Of f5serve.",
        "commit": "The commit it was built from.",
        "dirty": "Whether files were changed since; null if unknown.",
        "build": "Date and sources of the build.",
        "model": "`name` and `state`.",
        "models": "The same for all that may be named, with `memory_mb`.",
        "store": "ok, slow, or the code of its error.",
        "device": "The device in use.",
        "queue": "`jobs`, `waiting`, `estimated_s`.",
        "background": "Background tasks by name: `running`, `faults`, `last_fault`.",
        "metrics": "Counted since the start.",
        "doctor": "Findings of the doctor.",
        "disk": "Free space on each disk.",
        "age_s": "Seconds since the last check of store and machine; null before the first one.",
        "start": "Duration of each part of the start.",
    },
}
"""What an answer holds; exactly this."""
