"""What differs between the European languages whose rules `european.py` builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from f5serve.text.normalization.european_numbers import Noun, Numbers


@dataclass(frozen=True, slots=True)
class Currency:
    """Money.

    Attributes:
        signs: what stands before or after the amount: "€", "EUR".
        unit: the words for it.
        subunit: a hundredth of it; None where there is none in use.
        words: what stands after the amount only, as it is written: "euros".
    """

    signs: tuple[str, ...]
    unit: Noun
    subunit: Noun | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Money:
    """How amounts are spoken.

    Attributes:
        currencies: all that are known.
        magnitudes: abbreviation or word to its noun: "Mio." -> Noun("Million", "Millionen", "f").
            A noun with the gender "" has no article: "mille", "mil".
        join: between units and subunits: "", "con", "e".
        says_subunit: whether the subunit is named behind the unit: "con cincuenta céntimos".
        of: between a magnitude and a unit: "de"; "" for none.
        elided_of: the same before a vowel: "d'".
    """

    currencies: tuple[Currency, ...]
    magnitudes: Mapping[str, Noun]
    join: str = ""
    says_subunit: bool = False
    of: str = ""
    elided_of: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """Units behind numbers.

    Attributes:
        units: as they are written ("km/h") to their nouns.
        percents: the same for "%" and "‰".
        temperatures: the same for "°C".
        per: between a unit and what it is divided by: "pro".
        hour, minute, second: of durations such as "1h 30m" and 5'30".
        duration_join: between them: "", "et".
    """

    units: Mapping[str, Noun]
    percents: Mapping[str, Noun]
    temperatures: Mapping[str, Noun]
    per: str
    hour: Noun
    minute: Noun
    second: Noun
    duration_join: str = ""


@dataclass(frozen=True, slots=True)
class Dates:
    """Days, months and years.

    Attributes:
        months: twelve names.
        month_abbreviations: without a stop, in the language's writing: "Jan" -> "Januar".
        weekday_abbreviations: the same: "Mo" -> "Montag".
        day: the word before the date ("am", "vom" or ""), and the day, to its words.
        day_mark: pattern of what may follow a day in digits: `\\.`, `(?:er)?`.
        month_link: pattern between day and month beside spaces: "de "; "" for none.
        of_month: words between day and month: " de " or " ".
        of_year: words between month and year.
        leads: words in small letters after which 14/07 and 3.4. are dates: "le", "am".
        to: word between two days.
        has_dotted: whether 14.07. is a date.
    """

    months: tuple[str, ...]
    month_abbreviations: Mapping[str, str]
    weekday_abbreviations: Mapping[str, str]
    day: Callable[[str, int], str]
    day_mark: str = ""
    month_link: str = ""
    of_month: str = " "
    of_year: str = " "
    leads: frozenset[str] = frozenset()
    to: str = ""
    has_dotted: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """Times of a day.

    Attributes:
        say: hour, minute, second (or None) and what `suffix` matched, to words.
        suffix: pattern of what may follow: `Uhr`, `p\\.\\s?m\\.`, `heures`.
        hour_letter: pattern of what may part hours and minutes beside a colon: "h"; "" for none.
        to: word between two times.
    """

    say: Callable[[int, int, int | None, str], str]
    suffix: str
    hour_letter: str
    to: str


@dataclass(frozen=True, slots=True)
class Fractions:
    """Parts and ratios.

    Attributes:
        say: whole part or "", numerator and denominator to words; None if it is no fraction.
        ratio: word between the halves of 3:1.
        splits_at_unit: a unit stands behind the whole part: "deux litres et demi".
        score: word between the halves of 2-1; "" where the range word stands for it.
        over: word between what is no fraction with a name: 18/20 "dix-huit sur vingt".
    """

    say: Callable[[str, str, str], str | None]
    ratio: str
    over: str
    score: str = ""
    splits_at_unit: bool = True


@dataclass(frozen=True, slots=True)
class Abbreviations:
    """Abbreviations and where they stand; a space in a key may be any space, or none.

    Attributes:
        anywhere: in any place: "z. B." -> "zum Beispiel".
        closing: those that often end a sentence; their stop stays where it does: "usw.".
        before_name: before a capital: "M." -> "Monsieur".
        before_number: before a digit or a Roman numeral: "Nr." -> "Nummer".
    """

    anywhere: Mapping[str, str]
    closing: Mapping[str, str] = field(default_factory=dict)
    before_name: Mapping[str, str] = field(default_factory=dict)
    before_number: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Romans:
    """Where capitals are Roman numerals.

    Attributes:
        before: pattern of words before one: "Kapitel|Band". The number is then a cardinal.
        before_say: the word before and the value to words of the number, where it is no cardinal.
        names: first names of kings, popes and the like.
        regnal: name and value to the words behind the name: "Ludwig", 14 -> "der Vierzehnte".
        after: pattern of words behind one: "siècle|secolo".
        after_say: the value to words before such a word.
        regnal_mark: pattern of what belongs to a numeral behind a name: `\\.?`.
    """

    before: str
    names: tuple[str, ...]
    regnal: Callable[[str, int], str]
    before_say: Callable[[str, int], str] | None = None
    after: str = ""
    after_say: Callable[[int], str] | None = None
    regnal_mark: str = ""


@dataclass(frozen=True, slots=True)
class Acronyms:
    """Which capitals are letters.

    Attributes:
        letters: acronyms spoken letter by letter although they have vowels.
        words: acronyms spoken as words although they are short or have no vowel.
        mixed: others with small letters, to their words: "GmbH" -> "G m b H".
        short_words: words of two or three letters that are no acronyms in capitals: "nie".
        vowels: capitals that make an unknown acronym a word.
    """

    letters: frozenset[str]
    words: frozenset[str]
    mixed: Mapping[str, str] = field(default_factory=dict)
    short_words: frozenset[str] = frozenset()
    vowels: str = "AEIOUYÄÖÜÀÂÉÈÊËÎÏÔÛÙÁÍÓÚÃÕÌÒ"


@dataclass(frozen=True, slots=True)
class Phones:
    """Numbers of telephones.

    Attributes:
        patterns: of national numbers, without what is around them.
        group: one group of digits to words; groups are parted by commas.
        plus: word before a country's code.
    """

    patterns: tuple[str, ...]
    group: Callable[[str], str]
    plus: str = "plus"


@dataclass(frozen=True, slots=True)
class Signs:
    """Words for signs.

    Attributes:
        words: sign to word, wherever it stands: "§" -> "Paragraf".
        between_numbers: sign to word between two numbers only: "x" -> "mal".
        before_number: sign to word before a number only: "~" -> "ungefähr".
        address: sign to word within URLs, e-mail addresses and handles.
        version: word for "v" before a version.
        hashtag: word for "#" before a word.
    """

    words: Mapping[str, str]
    between_numbers: Mapping[str, str]
    before_number: Mapping[str, str]
    address: Mapping[str, str]
    version: str
    hashtag: str


@dataclass(frozen=True, slots=True)
class EuropeanLanguage:
    """All that `build_rules` needs.

    Attributes:
        to: word between the ends of a range: "bis".
        ordinal_marks: what stands behind digits to a form of `Numbers.ordinals`: "er" -> "m".
        gender_before: word behind a number to the gender in which it counts: "pages" -> "f".
        years: pattern of four digits that are a year, with what is around them; "" for none.
        has_roman_ordinals: whether letters behind a Roman numeral make an ordinal: "XXe".
    """

    numbers: Numbers
    to: str
    dates: Dates
    times: Times
    money: Money
    measures: Measures
    fractions: Fractions
    abbreviations: Abbreviations
    romans: Romans
    acronyms: Acronyms
    phones: Phones
    signs: Signs
    ordinal_marks: Mapping[str, str]
    gender_before: Callable[[str], str]
    years: str = ""
    has_roman_ordinals: bool = True
