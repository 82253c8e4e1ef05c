"""A book to be heard: chapters written by hand, then more of them from a seeded grammar."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from html import escape
from itertools import accumulate

from tests.books.made_books import epub, link, page

WRITTEN = """# The Lamp on the Hill

The lamp had been dark for 12 years. On March 3, old Mr. Harris walked up the path with a can
of oil.

"Who is there?" a girl called.

"Only a friend," he said.

# A Letter from the Harbor

A ship with 240 passengers was late. Emily counted the $15 in her purse, and ran to the harbor.

"Has anyone seen the lamp?" she asked.

"It brought us home," said the captain.

# 3. What the Captain Told

"We left the island on Monday," the captain began. "By the second night the fog was so thick that I
could not see my own hand. The compass turned in circles, and 3 of my men were ill."

He stopped and drank some water. It was 9:30 in the evening, and nobody wanted to sleep. The
children came nearer to the fire.

"Then, at about 2 in the morning, the youngest sailor shouted. There was a light, small and yellow,
far above the water. I have followed better lights, but never a more welcome one."

# Winter

In winter the village had fewer than 100 people, and the road was closed for weeks. They mended
nets, baked bread, and told the same stories again.

Mr. Harris did not talk much. He climbed the hill each evening at 5 o'clock, cleaned the glass with
a soft cloth, and waited until the flame stood still.

* * *

"Are you never tired of it?" Emily asked him once.

"Of course I am," he answered. "But somewhere out there is a person who is more tired than I am."
"""

SCENE_BREAK = "* * *"
_SEED = 1850
_CHAPTER_WORDS = 170
_RULES = {
    "sentence": (
        "{Who} {did} {thing} {place}.",
        "{When}, {who} {did} {thing}, and {who} {went} {place}.",
        "{Who} had {number} {things}, but only {few} of them were {quality}.",
        "{When}, the {quality} {animal} {went} {place}.",
        "Nobody {place} knew why {who} {did} {thing}.",
        "If the {weather} came again, {who} would need {number} {things}.",
        "The {thing_alone} cost ${price}, which was more than {who} could pay.",
        "It was {clock} when {who} {went} {place}.",
        "There were {number} {things} {place}, and each of them was {quality}.",
        "{Who} was {feeling}, because the {weather} had lasted for {few} {spans}.",
        "In {year}, the {quality} {building} was built by {few} brothers.",
        "{Who} looked at {thing} for a long time, and then {who} {went} {place}.",
    ),
    "talk": (
        '"Where is {thing}?" asked {who}.',
        '"I saw {thing} {place}," said {who}. "It was {quality}."',
        '"Do not be {feeling}," {who} answered. "The {weather} will be over in {few} {spans}."',
        '"How many {things} do we have?" {who} asked. "We have {number}," said {other}.',
        '{Who} laughed. "You {did} {thing} again," {other} said.',
        '"Come back at {clock}," said {who}, "and bring the {animal}."',
    ),
    "who": (
        *("the teacher", "my grandmother", "the farmer", "a young doctor", "the sailor", "Martha"),
        *(
            "the old soldier",
            "her brother",
            "the baker",
            "Thomas",
            "Emily",
            "the judge",
            "a painter",
        ),
    ),
    "other": ("the driver", "his sister", "Robert", "the boy", "the stranger", "my uncle"),
    "did": (
        *("found", "lost", "carried", "painted", "sold", "remembered", "forgot", "repaired"),
        *("borrowed", "dropped", "wanted", "described", "cleaned", "opened"),
    ),
    "went": ("walked", "ran", "waited", "slept", "sang a song", "sat down", "turned around"),
    "thing": (
        *("the silver clock", "a wooden boat", "the heavy door", "a letter", "the yellow blanket"),
        *("the broken window", "a basket of apples", "the map", "a bottle of milk", "the piano"),
        *("a bag of flour", "the family picture", "a green umbrella", "the iron key"),
    ),
    "thing_alone": ("bicycle", "blue dress", "kitchen table", "winter coat", "guitar", "mirror"),
    "things": ("horses", "candles", "books", "chairs", "letters", "eggs", "tickets", "stones"),
    "place": (
        *("behind the church", "near the river", "in the garden", "under the bridge", "at school"),
        *("on the mountain", "across the street", "beside the mill", "in the empty market"),
        *("at the railway station", "in front of the hotel", "below the stairs"),
    ),
    "when": (
        *("in the morning", "after dinner", "late at night", "before the concert", "on Sunday"),
        *("during the summer", "a week later", "on the first day of school", "that afternoon"),
    ),
    "quality": (
        *(
            "beautiful",
            "dangerous",
            "expensive",
            "quiet",
            "narrow",
            "strange",
            "wonderful",
            "empty",
        ),
        *("famous", "dusty", "perfect", "gentle", "enormous", "useful"),
    ),
    "feeling": ("afraid", "angry", "happy", "worried", "surprised", "proud", "lonely", "hungry"),
    "animal": ("dog", "horse", "cat", "donkey", "pigeon", "rabbit", "elephant"),
    "building": ("bridge", "library", "theater", "hospital", "castle", "factory", "tower"),
    "weather": ("storm", "rain", "snow", "thunder", "summer heat", "fog"),
    "spans": ("days", "hours", "weeks", "minutes", "months"),
    "few": ("two", "three", "four", "five", "seven", "nine", "ten"),
    "number": ("12", "18", "25", "40", "64", "99", "150", "300", "1,200", "5,000"),
    "price": ("8", "14", "35", "60", "250", "12.50", "3.75"),
    "clock": ("7:15", "8:30", "10:45", "noon", "midnight", "6 o'clock"),
    "year": ("1776", "1812", "1865", "1914", "1969", "1987"),
    "title": ("The {quality} {building}", "{Few} {things}", "The {animal} and the {weather}"),
}


def chapters(words: int) -> list[tuple[str, list[str]]]:
    """Title and paragraphs of the fewest chapters that have so many words; the same ones always."""
    made = [*_written(), *_chapters(random.Random(_SEED), words)]
    counts = accumulate(count_words([chapter]) for chapter in made)
    needed = next(number for number, count in enumerate(counts, 1) if count >= words)
    return made[:needed]


def count_words(book: list[tuple[str, list[str]]]) -> int:
    """Words between spaces, of titles and paragraphs."""
    return sum(len(" ".join([title, *paragraphs]).split()) for title, paragraphs in book)


def as_epub(book: list[tuple[str, list[str]]]) -> bytes:
    """The book as EPUB, a document for each chapter."""
    documents = {
        f"c{number}.xhtml": page(f"<h1>{escape(title)}</h1>" + "".join(map(_block, paragraphs)))
        for number, (title, paragraphs) in enumerate(book, 1)
    }
    titles = [escape(title) for title, _ in book]
    return epub(documents, contents="".join(map(link, documents, titles)))


def _block(paragraph: str) -> str:
    return "<hr/>" if paragraph == SCENE_BREAK else f"<p>{escape(paragraph)}</p>"


def _written() -> Iterator[tuple[str, list[str]]]:
    for chapter in WRITTEN.removeprefix("# ").split("\n# "):
        title, *paragraphs = (" ".join(one.split()) for one in chapter.split("\n\n"))
        yield title, paragraphs


def _chapters(dice: random.Random, words: int) -> Iterator[tuple[str, list[str]]]:
    for _ in range(words // _CHAPTER_WORDS + 1):
        paragraphs: list[str] = []
        title = _expand("{title}", dice).title()
        while count_words([(title, paragraphs)]) < _CHAPTER_WORDS:
            kind = dice.choice(("{talk}", "{sentence} " * dice.randint(2, 4)))
            paragraphs.append(_expand(kind.strip(), dice))
        yield title, paragraphs


def _expand(text: str, dice: random.Random) -> str:
    """Replace each {rule} by one of its texts; {Rule} begins with a capital letter."""

    def replacement(found: re.Match[str]) -> str:
        name = found[1]
        text = _expand(dice.choice(_RULES[name.lower()]), dice)
        return text[0].upper() + text[1:] if name[0].isupper() else text

    return re.sub(r"\{(\w+)\}", replacement, text)
