"""Italian: numbers, dates, signs and abbreviations as words."""

from __future__ import annotations

import re

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.european import build_rules, verbalize_by
from f5serve.text.normalization.european_language import (
    Abbreviations,
    Acronyms,
    Dates,
    EuropeanLanguage,
    Fractions,
    Phones,
    Romans,
    Signs,
    Times,
)
from f5serve.text.normalization.european_match import RuleRow
from f5serve.text.normalization.european_numbers import (
    ROMANCE_CARDINALS,
    ROMANCE_ORDINALS,
    Noun,
    Numbers,
)
from f5serve.text.normalization.italian_amounts import MEASURES, MONEY
from f5serve.text.normalization.romance import (
    Parts,
    numeral_row,
    one_row,
    pair_row,
    part_rows,
    shared_rows,
    word_set,
)


class _ItalianNumbers(Numbers):
    """Only 1 has a gender: "un anno", "una casa", "un'ora", but "ventuno case"."""

    def cardinal(self, digits: str, gender: str = "") -> str:
        """A whole number; with a leading zero, or too long for a name, digit by digit."""
        return super().cardinal(digits, gender if digits == "1" else "")

    def counted(self, text: str, noun: Noun) -> str:
        """A written number and what it counts."""
        return re.sub(r"\buna (?=[aeiou])", "un'", super().counted(text, noun))


NUMBERS = _ItalianNumbers(
    code="it",
    cardinals=ROMANCE_CARDINALS,
    ordinals={
        **ROMANCE_ORDINALS,
        "ms": "spellout-ordinal-masculine-plural",
        "fs": "spellout-ordinal-feminine-plural",
    },
    comma="virgola",
    point="punto",
    minus="meno",
    plus="più",
    of_millions="di",
    plus_minus="più o meno",
)

_MONTHS = (
    "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno",
    "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre",
)  # fmt: skip


DATES = Dates(
    months=_MONTHS,
    month_abbreviations={
        "gen": "gennaio", "genn": "gennaio", "feb": "febbraio", "febbr": "febbraio",
        "mar": "marzo", "apr": "aprile", "mag": "maggio", "magg": "maggio", "giu": "giugno",
        "lug": "luglio", "ago": "agosto", "set": "settembre", "sett": "settembre",
        "ott": "ottobre", "nov": "novembre", "dic": "dicembre",
    },
    weekday_abbreviations={
        "lun": "lunedì", "mar": "martedì", "mer": "mercoledì", "gio": "giovedì", "ven": "venerdì",
        "sab": "sabato", "dom": "domenica",
    },
    day=lambda lead, day: "primo" if day == 1 else NUMBERS.cardinal(str(day)),
    day_mark="[°º]?",
    leads=frozenset({"il", "del", "dal", "al", "nel"}),
    to="al",
    has_dotted=True,
)  # fmt: skip


def _time(hour: int, minute: int, second: int | None, suffix: str) -> str:
    del suffix
    words = [NUMBERS.cardinal(str(hour), "f")]
    if minute:
        words.append(f"e {NUMBERS.cardinal(str(minute))}")
    if second:
        words.append(f"e {NUMBERS.counted(str(second), MEASURES.second)}")
    return " ".join(words)


TIMES = Times(say=_time, suffix=r"h\b", hour_letter="", to="alle")


def _fraction(whole: str, top: str, bottom: str) -> str | None:
    number = int(bottom)
    if len(top) > 2 or int(top) == 0 or number not in {*range(2, 21), 100, 1000}:
        return None
    if number == 2:
        part = "mezzo" if top == "1" else f"{NUMBERS.cardinal(top)} mezzi"
    else:
        name = NUMBERS.ordinal(bottom)
        part = f"un {name}" if top == "1" else f"{NUMBERS.cardinal(top)} {name[:-1]}i"
    return f"{NUMBERS.cardinal(whole)} e {part}" if whole else part


FRACTIONS = Fractions(say=_fraction, ratio="a", over="su", score="a")

ABBREVIATIONS = Abbreviations(
    anywhere={
        "per es.": "per esempio", "p. es.": "per esempio", "ad es.": "ad esempio",
        "a. C.": "avanti Cristo", "d. C.": "dopo Cristo", "cfr.": "confronta", "ca.": "circa",
        "c.a.": "circa", "P.zza": "Piazza", "p.zza": "piazza", "P.za": "Piazza",
        "V.le": "Viale", "v.le": "viale", "C.so": "Corso", "c.so": "corso", "L.go": "Largo",
        "F.lli": "Fratelli", "F.sco": "Francesco", "S.p.A.": "S P A", "SpA": "S P A",
        "S.r.l.": "S R L", "Srl": "S R L", "sec.": "secolo", "P.S.": "post scriptum",
        "Tel:": "Telefono:", "tel.": "telefono",
        "cell.": "cellulare", "v.": "vedi", "vs.": "contro",
        "Egr.": "Egregio", "Gent.mo": "Gentilissimo", "Gent.ma": "Gentilissima",
        "Gent.mi": "Gentilissimi",
        "c/o": "presso", "p.v.": "prossimo venturo", "u.s.": "ultimo scorso", "N.B.": "nota bene",
    },
    closing={"ecc.": "eccetera", "etc.": "eccetera"},
    before_name={
        "sig.": "signor", "sig.ra": "signora", "sig.na": "signorina", "sigg.": "signori",
        "dott.": "dottor", "dr.": "dottor", "dott.ssa": "dottoressa", "dr.ssa": "dottoressa",
        "prof.": "professor", "prof.ssa": "professoressa", "avv.": "avvocato",
        "ing.": "ingegner", "arch.": "architetto", "geom.": "geometra", "rag.": "ragionier",
        "on.": "onorevole", "sen.": "senatore", "gen.": "generale", "col.": "colonnello",
        "cap.": "capitano", "mons.": "monsignor", "Card.": "Cardinal", "SS.": "Santi",
        "V.": "via", "spett.": "spettabile",
    },
    before_number={
        "n.": "numero", "n°": "numero", "nº": "numero", "n.º": "numero", "nn.": "numeri",
        "num.": "numero", "#": "numero", "pag.": "pagina", "pagg.": "pagine", "p.": "pagina",
        "pp.": "pagine", "art.": "articolo", "artt.": "articoli", "cap.": "capitolo",
        "capp.": "capitoli", "vol.": "volume", "voll.": "volumi", "fig.": "figura",
        "figg.": "figure", "tav.": "tavola", "par.": "paragrafo", "ed.": "edizione",
        "sec.": "secolo", "t.": "tomo", "c.": "comma", "int.": "interno", "sc.": "scala",
    },
)  # fmt: skip


def _regnal(name: str, value: int) -> str:
    feminine = name.endswith("a") and name not in ("Andrea", "Luca", "Mattia", "Giona")
    return NUMBERS.ordinal(str(value), "f" if feminine else "m")


def _before_roman(word: str, value: int) -> str:
    if word.lower() in ("secolo", "capitolo", "atto", "libro", "titolo", "canto", "volume"):
        return NUMBERS.ordinal(str(value), "m")
    if word.lower() in ("parte", "scena", "sezione", "fase"):
        return NUMBERS.ordinal(str(value), "f")
    return NUMBERS.cardinal(str(value))


ROMANS = Romans(
    before=(
        "secolo|capitolo|capitoli|volume|tomo|libro|atto|scena|canto|parte|titolo|tipo|livello|"
        "grado|numero|articolo|sezione|fase|allegato|tavola"
    ),
    before_say=_before_roman,
    names=(
        "Emanuele", "Umberto", "Carlo", "Alberto", "Felice", "Amedeo", "Luigi", "Enrico", "Giorgio",
        "Edoardo", "Elisabetta", "Filippo", "Federico", "Francesco", "Ferdinando", "Giovanni",
        "Paolo", "Pio", "Benedetto", "Leone", "Gregorio", "Clemente", "Innocenzo", "Urbano",
        "Sisto", "Giulio", "Adriano", "Bonifacio", "Martino", "Eugenio", "Nicola", "Niccolò",
        "Alessandro", "Napoleone", "Guglielmo", "Riccardo", "Caterina", "Maria", "Giacomo",
        "Ottone", "Cosimo", "Lorenzo", "Ranuccio", "Ercole", "Celestino", "Callisto", "Pasquale",
        "Onorio", "Stefano", "Massimiliano", "Leopoldo", "Baldovino", "Margherita", "Cristina",
        "Ramses", "Dario", "Tolomeo", "Costantino", "Teodosio", "Gustavo", "Vittorio", "Isabella",
    ),
    regnal=_regnal,
)  # fmt: skip

ACRONYMS = Acronyms(
    letters=word_set("UE TV CD DVD PDF GPS PC DNA RNA AI IA PD USB"),
    words=word_set("ONU NATO FIAT RAI NASA IVA ISTAT INPS USA UNESCO FIFA UEFA OK IBAN CGIL CISL"),
    short_words=word_set(
        "a al ai che chi ci con da dai dal dei del di due e è era fa fra già gli ha hai ho i il "
        "in io "
        "la le lei lì lo lui ma me mai mi mia mio ne nei nel no noi non o per più può qua qui re "
        "sa "
        "sai se sei sì si sia sono su sua sue sui sul suo te tre ti tra tu tua tuo un una uno va "
        "vai "
        "vi via voi"
    ),
)

PHONES = Phones(
    patterns=(
        r"0\d{1,3}[ /-]\d{3,4}[ -]?\d{3,4}", r"3\d{2}[ /-]\d{3}[ -]?\d{2}[ -]?\d{2}",
        r"3\d{2}[ /-]\d{6,7}", r"3\d{9}", r"0\d{8,10}", r"800[ -]?\d{3}[ -]?\d{3}",
    ),
    group=NUMBERS.digits,
    plus="più",
)  # fmt: skip

SIGNS = Signs(
    words={
        "&": "e", "@": "chiocciola", "%": "per cento", "‰": "per mille", "§": "paragrafo",
        "+": "più", "=": "uguale", "<": "minore di", ">": "maggiore di",
        "≤": "minore o uguale a", "≥": "maggiore o uguale a", "≠": "diverso da", "≈": "circa",
        "±": "più o meno", "×": "per", "÷": "diviso", "√": "radice quadrata di",
        "∞": "infinito", "°": "gradi", "€": "euro", "$": "dollari", "£": "sterline", "¥": "yen",
        "©": "copyright", "®": "marchio registrato", "™": "marchio", "→": "a", "−": "meno",
        "²": "al quadrato", "³": "al cubo", "№": "numero", "µ": "micro", "π": "pi greco",
    },
    between_numbers={"x": "per", "*": "per", "·": "per"},
    before_number={"~": "circa", "#": "numero"},
    address={
        ".": "punto", "/": "barra", "@": "chiocciola", "-": "trattino", "_": "trattino basso",
        ":": "due punti", "?": "punto interrogativo", "=": "uguale", "&": "e", "+": "più",
        "#": "cancelletto", "%": "per cento", "~": "tilde",
    },
    version="versione",
    hashtag="hashtag",
)  # fmt: skip

_FEMININE = word_set("volta casa ora persona pagina settimana notte donna parte tazza")
_MASCULINE = word_set("anno giorno mese libro euro chilo metro minuto secondo litro etto")


def _gender_before(word: str) -> str:
    """The gender of what 1 counts; other numbers have none in Italian."""
    word = word.lower()
    if word in _FEMININE or word.endswith(("zione", "sione", "tà")):
        return "f"
    return "m" if word in _MASCULINE else ""


_ARTICLES = {"l": "il", "dell": "del", "all": "al", "dall": "dal", "nell": "nel", "sull": "sul"}


def _article_before_first(match: re.Match[str]) -> str:
    article = _ARTICLES[match[1].lower()]
    return f"{article.capitalize() if match[1][0].isupper() else article} 1"


def _saint(match: re.Match[str]) -> str:
    name = match[1]
    if name[0] in "AEIOU":
        return f"Sant'{name}"
    if name.startswith("St"):
        return f"Santo {name}"
    return f"{'Santa' if name.endswith('a') and name not in _SAINTS_IN_A else 'San'} {name}"


_SAINTS_IN_A = ("Luca", "Mattia", "Barnaba")


def _clock_with_point(match: re.Match[str]) -> str:
    return f"{match[1]} {_time(int(match[2]), int(match[3]), None, '')}"


_DAY_OF_MONTH = rf"(?=[°º]? (?:{'|'.join(_MONTHS)})\b|[/.]\d{{1,2}}[/.]\d{{4}})"


def _is_feminine(word: str) -> bool:
    return word.endswith("a") or word in ("ore", "tazze", "giornate", "settimane", "porzioni")


_PARTS_OF = Parts(NUMBERS, MEASURES.units, ("mezzo", "mezza"), "di", "e", _fraction, _is_feminine)

_FIRST: list[RuleRow] = [
    (
        "date",
        rf"(?i)(?<!\w)(l|dell|all|dall|nell|sull)['’]1{_DAY_OF_MONTH}",
        _article_before_first,
    ),
    ("abbreviation", r"(?<![\w.])S\. ?([A-Z][a-zàèéìòù]+)", _saint),
    (
        "time",
        r"(?<!\w)((?i:alle|dalle|ore|delle|le|sulle)) ([01]?\d|2[0-3])\.([0-5]\d)"
        r"(?!\d|[.,]\d| ?[%€$])",
        _clock_with_point,
    ),
    ("year", r"(?<!\w)['’](?=\d{2,3}(?!\d))", lambda match: ""),
    (
        "postcode",
        r"(?<!\w)(?:(CAP) )?(\d{5})(?= [A-Z][a-z])",
        lambda match: f"{'CAP ' if match[1] else ''}{NUMBERS.digits(match[2])}",
    ),
    (
        "postcode",
        r"(?<=\bCAP )\d{5}(?!\d)|(?<=\bCAP è )\d{5}(?!\d)",
        lambda m: NUMBERS.digits(m[0]),
    ),
    *part_rows(_PARTS_OF),
    *shared_rows("gradi", "chilometro"),
]

_EVENTS = {
    "secolo": "m", "sec.": "m", "millennio": "m", "capitolo": "m", "canto": "m",
    "congresso": "m", "reich": "m", "municipio": "m", "centenario": "m", "festival": "m",
    "concilio": "m", "premio": "m", "guerra": "f", "edizione": "f", "dinastia": "f",
    "repubblica": "f", "legislatura": "f", "internazionale": "f", "olimpiade": "f",
}  # fmt: skip

_BEFORE_ONE = word_set(
    "è c'è ho hai ha abbiamo avete hanno resta manca con per di da a in e o ed solo ogni fra tra "
    "dopo compra comprato aggiungi serve circa entro più"
)
_COUNTED = word_set(
    "secondo minuto ora giorno settimana mese anno volta euro dollaro litro persona"
)
_NOT_AFTER_ONE = word_set("del della dei degli delle per con che più meno alla allo sul nel non")


def _one(word: str) -> str:
    if _is_feminine(word) or word.endswith(("zione", "sione", "tà")):
        return "un'" if word[0] in "aeiouAEIOU" else "una "
    return "uno " if re.match(r"(?i)z|gn|ps|x|s[^aeiou]", word) else "un "


_BEFORE_NUMBERS: list[RuleRow] = [
    numeral_row(NUMBERS, _EVENTS, most=100),
    pair_row(
        "secoli|secolo|capitoli|volumi",
        "e|o|al?",
        lambda word, value: _before_roman("secolo", value),
    ),
    one_row(_BEFORE_ONE, _COUNTED, _NOT_AFTER_ONE, _one),
    ("fraction", r"(?<=\d)/(?=(?:19|20)\d\d(?![\d/]))", lambda match: " del "),
]

LANGUAGE = EuropeanLanguage(
    numbers=NUMBERS,
    to="a",
    dates=DATES,
    times=TIMES,
    money=MONEY,
    measures=MEASURES,
    fractions=FRACTIONS,
    abbreviations=ABBREVIATIONS,
    romans=ROMANS,
    acronyms=ACRONYMS,
    phones=PHONES,
    signs=SIGNS,
    ordinal_marks={
        "°": "m", "º": "m", ".º": "m", "ª": "f", ".ª": "f", "o": "m", "a": "f", "mo": "m",
        "ma": "f", "esimo": "m", "esima": "f", "i": "ms", "e": "fs",
    },
    gender_before=_gender_before,
    has_roman_ordinals=False,
)  # fmt: skip

_RULES = build_rules(LANGUAGE, first=_FIRST, before_numbers=[*_BEFORE_NUMBERS])


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What Italian is spoken as, with the letters and marks of the text."""
    return verbalize_by(LANGUAGE, _RULES, mapped, off)
