"""Operations where somebody listens: uploads without words, and speech that is verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from f5serve.asr.word_errors import SpeechChecker
from f5serve.asr_types import Transcript
from f5serve.fallback.tone import Tone
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.synthesis.verification import VerificationPolicy
from f5serve.types import Wave
from f5serve.voices.prepare import Transcriber
from tests.service.house import HELLO, house, run
from tests.service.test_voices import b64
from tests.voices.material import WORDS, recording

FILE = b64(recording())


def transcribe(wave: Wave, language: str) -> Transcript:
    return Transcript(WORDS, "en", 0.8)


class Echo:
    """A recogniser that understands the third attempt."""

    model = "echo"

    def __init__(self) -> None:
        self.times = 0

    def supports(self, language: str) -> bool:
        return language == "en"

    def transcribe(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        prompt: str = "",
        translate: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        self.times += 1
        return Transcript("hello there" if self.times == 3 else "yellow bear", "en", 0.9)


def test_a_voice_without_words_is_heard_listed_and_warned_about(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, hearing=Transcriber(transcribe=transcribe)) as here:
            told = (await here.call("upload", voice_name="ana", voice_file=FILE))["voice"]
            assert (told["needs_review"], told["transcript_confidence"]) == (True, 0.8)
            (listed,) = (await here.call("list_voices"))["voices"]
            assert (listed["needs_review"], listed["transcript_confidence"]) == (True, 0.8)
            answer = await here.ask("j", **HELLO, voice="ana")
            assert any("written by a recogniser" in warning for warning in answer["warnings"])
            # Somebody has read it: the same words, and an answer without the warning.
            await here.call("upload", voice_name="ana", voice_file=FILE, ref_text=WORDS)
            answer = await here.ask("k", **HELLO, voice="ana")
            assert not any("written by a recogniser" in warning for warning in answer["warnings"])

    run(story)


def test_without_a_recogniser_the_words_are_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            error = await here.refuse("u", endpoint="upload", voice_name="ana", voice_file=FILE)
            assert error.code == "REF_TEXT_REQUIRED"

    run(story)


def test_speech_is_verified_on_request_and_the_result_says_so(tmp_path: Path) -> None:
    store = MemoryStore()
    echo = Echo()

    def load() -> Synthesizer:
        return Synthesizer(Tone(), verification=VerificationPolicy(SpeechChecker(echo)))

    async def story() -> None:
        async with house(tmp_path, store, load_speech=load) as here:
            plain = await here.ask("plain", **HELLO, seed=1)
            assert (plain["verification"], echo.times) == (None, 0)
            answer = await here.ask("j", **HELLO, seed=1, verify=True)
            told = answer["verification"]
            assert (told["passed"], told["attempts"], told["wer"]) == (True, 3, 0.0)
            assert (told["model"], len(told["utterances"])) == ("echo", 1)
            assert not answer["cached"]  # what was made unheard is another result
            assert (await here.call("result", job_id="j"))["verification"] == told
            again = await here.ask("k", **HELLO, seed=1, verify=True)
            assert (again["cached"], again["verification"], echo.times) == (True, told, 3)
            assert (await here.refuse("m", **HELLO, verify="yes")).code == "BAD_OPTION"

    run(story)


def test_a_worker_may_verify_everything(tmp_path: Path) -> None:
    echo = Echo()

    async def story() -> None:
        speech = Synthesizer(Tone(), verification=VerificationPolicy(SpeechChecker(echo), tries=0))
        async with house(tmp_path, load_speech=lambda: speech, verify=True) as here:
            assert not (await here.ask("j", **HELLO))["verification"]["passed"]
            assert (await here.ask("k", **HELLO, verify=False))["verification"] is None

    run(story)


def test_a_worker_without_a_recogniser_refuses_to_verify(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            error = await here.refuse("j", **HELLO, verify=True)
            assert error.code == "RECOGNISER_NOT_INSTALLED"
            assert not here.tone.spoken

    run(story)
