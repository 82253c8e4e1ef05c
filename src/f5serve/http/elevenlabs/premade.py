"""The voices that every ElevenLabs account has: their ids, and what they stand for here."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from f5serve.settings import read_pairs
from f5serve.voices.names import casefold


class Premade(NamedTuple):
    """A voice of ElevenLabs.

    Attributes:
        like: the name of OpenAI's whose voice is used, where F5_ELEVENLABS_VOICES says nothing.
    """

    name: str
    like: str


PREMADE: dict[str, Premade] = {
    "21m00Tcm4TlvDq8ikWAM": Premade("Rachel", "coral"),
    "9BWtsMINqrJLrRacOk9x": Premade("Aria", "nova"),
    "AZnzlk1XvdvUeBnXmlld": Premade("Domi", "shimmer"),
    "CwhRBWXzGAHq8TQ4Fs17": Premade("Roger", "ash"),
    "EXAVITQu4vr4xnSDxMaL": Premade("Sarah", "sage"),
    "ErXwobaYiN019PkySvjV": Premade("Antoni", "ballad"),
    "FGY2WhTYpPnrIDTdsKH5": Premade("Laura", "marin"),
    "IKne3meq5aSn9XLyUdCD": Premade("Charlie", "verse"),
    "JBFqnCBsd6RMkjVDRZzb": Premade("George", "cedar"),
    "LcfcDJNUP1GQjkzn1xUU": Premade("Emily", "sage"),
    "MF3mGyEYCl7XYWbV9V6O": Premade("Elli", "shimmer"),
    "N2lVS1w4EtoT3dr4eOWO": Premade("Callum", "fable"),
    "SAz9YHcvj6GT2YYXdXww": Premade("River", "alloy"),
    "TX3LPaxmHKxFdv7VOQHJ": Premade("Liam", "echo"),
    "TxGEqnHWrfWFTfGW9XjX": Premade("Josh", "verse"),
    "VR6AewLTigWG4xSOukaG": Premade("Arnold", "onyx"),
    "XB0fDUnXU5powFXDhCwa": Premade("Charlotte", "marin"),
    "Xb7hH8MSUJpSbSDYk0k2": Premade("Alice", "nova"),
    "XrExE9yKIg1WjnnlVkGX": Premade("Matilda", "coral"),
    "bIHbv24MWmeRgasZH58o": Premade("Will", "echo"),
    "cgSgspJ2msm6clMCkdW9": Premade("Jessica", "shimmer"),
    "cjVigY5qzO86Huf0OWal": Premade("Eric", "ash"),
    "iP95p4xoKVk53GoZ742B": Premade("Chris", "ballad"),
    "jsCqWAovK2LkecY7zXl4": Premade("Freya", "nova"),
    "nPczCjzI2devNBz1zQrb": Premade("Brian", "onyx"),
    "onwK4e9ZLuTAKqWW03F9": Premade("Daniel", "cedar"),
    "pFZP5JQG7iQjIQuC4Bku": Premade("Lily", "sage"),
    "pNInz6obpgDQGcFmaJgB": Premade("Adam", "onyx"),
    "pqHfZKP75CvOlQylNhV4": Premade("Bill", "cedar"),
    "yoZ06aMxZJJ28mfd3POQ": Premade("Sam", "fable"),
}

OTHERS = "*"
"""In F5_ELEVENLABS_VOICES: all other ids of ElevenLabs' own voices."""


@lru_cache(maxsize=256)
def premade_voice(pairs: str, voice_id: str) -> str | None:
    """The name of the voice that an id of ElevenLabs' own stands for; None for other ids.

    Args:
        pairs: F5_ELEVENLABS_VOICES, whose keys are ids or names of these voices.
    """
    premade = PREMADE.get(voice_id)
    if premade is None:
        return None
    named = {casefold(key): voice for key, voice in read_pairs(pairs).items()}
    others = named.get(OTHERS, premade.like)
    return named.get(casefold(voice_id), named.get(casefold(premade.name), others))
