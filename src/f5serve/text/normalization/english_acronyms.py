"""Capitals in written English: letters one by one, words, or shouting."""

from __future__ import annotations

import re
from functools import partial

from f5serve.text.normalization.english_names import roman_value
from f5serve.text.normalization.english_patterns import Table, word_set
from f5serve.text.normalization.english_tables import STATES
from f5serve.text.normalization.english_units import UNITS

_WORDS = word_set(
    "NASA NATO UNESCO UNICEF OPEC COVID AIDS RADAR LASER SCUBA SWAT NAFTA FEMA OSHA POTUS SCOTUS "
    "FLOTUS RAM ROM SIM PIN GIF JPEG JSON CAPTCHA SONAR TASER ASCII BIOS NASDAQ FIFA UEFA ASEAN "
    "IKEA LEGO ISIS HAMAS MERS SARS HEPA LASIK NICU ZIP DOS LAN WAN RAID YAML TOML CUDA REST CRUD "
    "BASIC NAND NOR VAT CAD SAT ACT OK ICE SALT MOMA TED EBITDA GAAP OLED QWERTY NAS MIDI "
    "WASP YOLO FOMO IMAX VIN BAFTA ALGOL COBOL FORTRAN LISP SIMD CERN ESOL TOEFL TESOL JAVA BERT "
    "GNU WYSIWYG"
)
"""Read as words."""

_LETTERS = word_set(
    "BTW FYI IDK LOL OMG WTF NSFW HDMI VGA AMD EV DM SVP EVP GMO NDA OCD ADHD "
    "ACLU AFAIK AKA ASAP ATM BBC CBS CEO CFO CIA CIO CNN COO CPU CTO DEA DIY DNA DOJ ECG EEG "
    "EKG EPA ESPN ETA EU EUR FAQ FBI FDA FEC GDP GOP GPA GPS GPU GUI HIV HOA HTML HTTP HTTPS "
    "IBM ICU IEEE IMDB IMF IMO INS IOU IPA IPO IQ IRA IRS ISBN ISO ISP IT IVF JFK KGB LAPD LCD "
    "LED LGBT LLC MBA MIT MLB MRI MTV NAACP NBA NBC NCAA NFL NGO NHL NHS NPR NRA NSA NYPD NYU "
    "OEM PBS PDF PHP PR PTSD RIP ROI RSVP SEO SOS SQL SSN SUV TBA TBD TLC TNT TSA TV UAE UCLA "
    "UFC UFO UK UN UPS URL USA USB USC USDA USSR UV VIP VPN WHO WTO WWW XML YMCA API AI ML SMS "
    "DVD CD MP HR PC AC DC PM AM UI UX USD GMT UTC EST PST CST EDT PDT AAA ABC IPCC FIDE SUVS "
    "AWOL UTI "
)
"""Read letter by letter."""

_COMMON = word_set(
    "A AM AN AND ANY ARE AS AT BE BUT BY CAN DID DO FOR GET GO GOT HAD HAS HE HER HEY HI HIM "
    "HIS HOT HOW IF IN IS IT ITS LET LOT MAY ME MY NEW NO NOT NOW OF OFF OH OLD ON ONE OR OUR "
    "OUT OWN PUT RED RUN SAW SAY SEE SET SHE SIX SO SON TEN THE TO TOO TOP TRY TWO UP US USE "
    "WAR WAS WAY WE WHO WHY WIN WON WOW YES YET YOU ALL BAD BIG BOY BUY CAR CAT CUT DAD DAY DIE "
    "DOG EAT END FAR FEW FIX FLY FUN GOD GUY HIT JOB KEY KID LIE LOW MAD MAN MEN MOM NOR PAY "
    "RAN SAD SIT SKY SUN TAX TEA VIA WET HUH HMM SHH PSST BRR TSK HA HO AH AW YO UH UM UGH EW "
    "PFFT GRR MMM AHA BOO YAY ZZZ ZZ DON ISN FREE STOP NEVER ALWAYS VERY REALLY ONLY MUST MORE "
    "MOST THIS THAT THEY THEM WHAT WHEN WILL WITH YOUR HERE JUST LIKE LOVE EVERY EVER EVEN DONT "
    "WAIT HELP EXIT OPEN SALE BEST LAST FIRST GREAT THANK PLEASE SORRY NOTHING SOMETHING "
    "ANYTHING EVERYTHING "
)
"""Words that are written in capitals to stress them."""

_TOKEN = re.compile(r"(?<![^\W_])[A-Z][A-Z'’]*+(?![^\W_])")


def shouting() -> Table:
    """Rows of words in capitals, which are words and no letters."""
    word = r"(?:[A-Z]++(?:['’][A-Z]++)?+(?![\w@&/]))"
    row = rf"(?<![\w.@#&'’/-]){word}(?:[ ,&'’\"“”:;%$€£\d-]{{1,9}}{word})++"
    return [
        ("acronym", r"(?<![\w./-])([A-Z]{2,5})/(?=[A-Z]{2,5}(?![\w/]))", lambda m: m[1]),
        ("acronym", row, _calm),
    ]


def acronyms(mark: str) -> Table:
    """Capitals that stand alone: "FBI" -> "F.B.I", "NOT" -> "not", "NASA" stays.

    Args:
        mark: between letters; F5-TTS reads them best with full stops, a dictionary without.
    """
    return [
        ("acronym", r"(?<![\w.])(i|mac|tv|watch|iPad)OS(?!\w)", lambda m: f"{m[1]} O{mark}S"),
        ("acronym", r"(?<![\w'’.])([A-Z]{2,12})(s?)(?!\w|['’][A-Z]|\.[A-Z])", partial(_say, mark)),
    ]


def _is_acronym(word: str) -> bool:
    return (word in _WORDS or word in _LETTERS or word in UNITS) and word not in _COMMON


def _calm(match: re.Match[str]) -> str | None:
    words = [word for word in _TOKEN.findall(match[0]) if not _stays(word)]
    long = [word for word in words if len(word) > 1]
    if len(long) < 2 or (max(map(len, long)) < 4 and len(long) < 3):
        return None
    if 2 * sum(map(_is_word, long)) < len(long):
        return None
    return _TOKEN.sub(lambda m: m[0] if _stays(m[0]) else m[0].capitalize(), match[0])


def _is_word(word: str) -> bool:
    return word in _COMMON or (len(word) > 3 and re.search("[AEIOUY]", word) is not None)


def _stays(word: str) -> bool:
    is_roman = len(word) > 1 and roman_value(word) > 0
    return is_roman or _is_acronym(word) or (word in STATES and word not in _COMMON)


def _say(mark: str, match: re.Match[str]) -> str | None:
    word, plural = match[1], match[2]
    behind_article = match.string[max(0, match.start() - 4) : match.start()].lower() == "the "
    if word in ("IT", "US") or (word in _LETTERS and (behind_article or word not in _COMMON)):
        return mark.join(word) + plural
    if word in _COMMON:
        return None if plural else word.lower()
    if word in _WORDS:
        return None
    if len(word) <= 3 or not re.search("[AEIOUY]", word):
        return mark.join(word) + plural
    return None
