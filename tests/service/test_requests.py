"""Fields of a request: what is let through, what is refused, and what makes two requests equal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.fallback.tone import Tone
from f5serve.service.request_errors import check_job_id
from f5serve.service.requests import TTSRequest
from f5serve.synthesis.speech_plan import make_plan
from f5serve.synthesis.synthesizer import RANGES
from f5serve.types import SamplingOptions
from f5serve.voices.prepare import default_voice

DEFAULTS = SamplingOptions(nfe_step=7)


def prepared(
    payload: dict[str, Any], defaults: SamplingOptions = DEFAULTS, max_chars: int = 5000
) -> TTSRequest:
    return TTSRequest.parse(payload).prepare(defaults, max_chars)


def parse(**payload: Any) -> TTSRequest:
    return prepared({"text": "Hello.", **payload})


def test_without_fields_the_defaults_hold() -> None:
    ask = parse()
    request = ask.speech_request(default_voice())
    assert (ask.speaker, ask.format, request.cross_fade_s) == ("default", "wav", 0.15)
    assert ask.options == DEFAULTS
    assert (ask.word_timings, ask.returns_audio, ask.is_async, request.remove_silence) == (
        True,
        *[False] * 3,
    )
    assert (
        parse(**dict.fromkeys(["voice", "speed", "seed", "mode", "timing_format"])).sha256
        == ask.sha256
    )


def test_all_fields_arrive() -> None:
    ask = parse(
        local_voice="ana.wav",
        ref_text="Words.",
        consent={"by": "Ana"},
        speed=2,
        seed=7,
        nfe_step=32,
        cfg_strength=1.5,
        sway_sampling_coef=0,
        cross_fade_s=0.2,
        remove_silence=True,
        model="m",
        response_format="MP3",
        return_word_timings=False,
        timing_format=["srt", "ASS", "srt"],
        return_audio="base64",
        mode="async",
        timing_method="whisperx",
    )
    assert ask.options == SamplingOptions(32, 1.5, 0.0, 2.0, 7)
    assert (ask.speaker, ask.ref_text, ask.model, ask.format) == ("ana.wav", "Words.", "m", "mp3")
    assert ask.consent is not None
    assert ask.consent.by == "Ana"
    assert ask.timing_formats == ("srt", "ass")
    assert (ask.returns_audio, ask.is_async) == (True, True)
    assert not ask.warnings
    request = ask.speech_request(default_voice())
    assert (request.cross_fade_s, request.remove_silence, request.format) == (0.2, True, "mp3")
    assert parse(timing_format="vtt").timing_formats == ("vtt",)


ENDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bit_rate_kbps": (
        {"response_format": "opus"},
        {"response_format": "mp3", "sample_rate": 48_000},
    )
}
"""Other fields that the lowest and the highest value need."""


@pytest.mark.parametrize("name", sorted(RANGES.keys() - {"max_speed"}))  # of dubs
def test_numbers_outside_their_range_or_of_another_type_are_named(name: str) -> None:
    low, high = RANGES[name]
    for value in (low - 1, high + 1, float("nan"), float("inf"), 10**400, True, "1", [1], {}):
        with pytest.raises(InvalidRequest, match=f"^{name} is ") as caught:
            parse(**{name: value})
        assert caught.value.code == "BAD_OPTION"
        assert f"{low:g} to {high:.0f}" in caught.value.hint.replace("whole number from ", "")
        assert len(caught.value.message) < 80
    for value, more in zip((low, high), ENDS.get(name, ({}, {})), strict=True):
        parse(**{name: value}, **more)


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": 7},
        {"text": ["Hello."]},
        {"seed": 1.5},
        {"nfe_step": 7.5},
        {"response_format": "xm"},
        {"response_format": 1},
        {"return_word_timings": "yes"},
        {"return_word_timings": 1},
        {"timing_format": "compact"},
        {"timing_format": ["srt", 1]},
        {"return_audio": "file"},
        {"mode": "later"},
        {"local_voice": 5},
        {"local_voice": "a", "voice": "b"},
        {"voice": "x" * 5000},
        {"consent": "yes"},
        {"consent": {"by": 1}},
        {"ref_text": "x" * 20_000},
        {"timeout_s": 0},
        {"timeout_s": 3601},
        {"timeout_s": "5"},
        {"quick_start": 1},
    ],
)
def test_fields_that_cannot_be_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**wrong)
    assert caught.value.code == "BAD_OPTION"
    assert caught.value.hint.startswith("It takes ")


def test_a_text_that_is_too_long_is_refused_as_such() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(text="x" * 5001)
    assert caught.value.code == "TEXT_TOO_LONG"


def test_unknown_fields_are_told_not_refused() -> None:
    assert parse(colour="red").warnings == ("The field 'colour' is not known.",)
    assert len(parse(**{f"x{n}": n for n in range(50)}).warnings) == 5


@pytest.mark.parametrize(
    "name", ["voice", "local_voice", "ref_audio", "ref_text", "model", "timing_method", "text"]
)
def test_half_of_a_pair_is_refused_in_every_text_field(name: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(**{name: "a\ud800"})
    with pytest.raises(InvalidRequest):
        check_job_id("\udfff")


def test_the_name_of_a_field_that_nobody_knows_can_be_written_down() -> None:
    ask = parse(**{"odd\ud800": 1})
    json.dumps([ask.raw_fields, ask.warnings], ensure_ascii=False).encode()


def test_delivery_and_spelling_do_not_make_another_request() -> None:
    plain = parse(voice="ana").sha256
    same = [
        {"local_voice": "ana"},
        {"voice": "ana", "local_voice": "ana", "endpoint": "tts"},
        {"voice": "ana", "mode": "async", "return_audio": "base64"},
        {"voice": "ana", "timeout_s": 30},
        {"voice": "ana", "speed": None, "colour": "red", "timing_method": "google"},
    ]
    assert {parse(**payload).sha256 for payload in same} == {plain}
    other = [{}, {"voice": "ana", "speed": 1.5}, {"voice": "ana", "text": "Bye."}]
    assert plain not in {parse(**payload).sha256 for payload in other}


def identity(ask: TTSRequest) -> dict[str, Any]:
    return ask.identity(make_plan(ask.speech_request(default_voice()), Tone()))


def test_defaults_of_a_worker_decide_the_sound_but_not_the_request() -> None:
    fast = prepared({"text": "Hello."}, SamplingOptions(nfe_step=7))
    fine = prepared({"text": "Hello."}, SamplingOptions(nfe_step=32))
    assert fast.sha256 == fine.sha256
    assert identity(fast) != identity(fine)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = [
    *(
        *RANGES,
        "text",
        "local_voice",
        "voice",
        "ref_audio",
        "ref_text",
        "consent",
        "response_format",
    ),
    *("timing_format", "return_word_timings", "mode", "return_audio", "endpoint"),
]


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_json_is_understood_or_refused_in_a_sentence(payload: dict[str, Any]) -> None:
    try:
        ask = prepared({"text": "Hello.", **payload}, DEFAULTS, 100)
    except InvalidRequest as error:
        told = error.as_dict()
    else:
        told = {"error": ask.text, "code": ask.sha256, "hint": ask.speaker}
    assert all(told[name] for name in ("error", "code"))


def test_a_recording_is_known_by_its_hash() -> None:
    file = "UklGRg" * 1_000_000
    ask = parse(ref_audio=file)
    assert ask.holds_recording
    assert ask.summary["voice"] == "recording"
    assert len(json.dumps(ask.raw_fields)) < 200
    assert ask.sha256 == parse(ref_audio=file).sha256
    assert ask.sha256 != parse(ref_audio=file + "UklG").sha256
    url = "https://files.example/ana.wav"
    ask = parse(ref_audio=url)
    assert not ask.holds_recording
    assert (ask.speaker, ask.summary["voice"]) == (url, "url")
    assert ask.raw_fields["ref_audio"] == url
    data = parse(ref_audio="DATA:audio/wav;base64," + file)
    assert data.holds_recording
    for other in ({"voice": "ana"}, {"local_voice": "ana"}):
        with pytest.raises(InvalidRequest, match="voice is 'ana'"):
            parse(ref_audio=url, **other)


def test_what_is_not_read_of_a_consent_does_not_count() -> None:
    plain = parse(consent={"by": "Ana"})
    other = parse(consent={"by": "Ana", "": float("inf")})
    assert plain.sha256 == other.sha256
