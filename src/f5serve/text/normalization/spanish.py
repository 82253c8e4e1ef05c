"""Spanish: numbers, dates, signs and abbreviations as words, in Spain's and America's writing."""

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
    NUMBER,
    ROMANCE_CARDINALS,
    ROMANCE_ORDINALS,
    Numbers,
)
from f5serve.text.normalization.romance import (
    Parts,
    numeral_row,
    one_row,
    pair_row,
    part_rows,
    shared_rows,
    word_set,
)
from f5serve.text.normalization.spanish_amounts import MEASURES, MONEY

NUMBERS = Numbers(
    code="es",
    cardinals=ROMANCE_CARDINALS,
    ordinals={
        **ROMANCE_ORDINALS,
        "er": "spellout-ordinal-masculine-adjective",
        "ms": "spellout-ordinal-masculine-plural",
        "fs": "spellout-ordinal-feminine-plural",
    },
    comma="coma",
    point="punto",
    minus="menos",
    plus="más",
    of_millions="de",
    plus_minus="más o menos",
)

_MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio",
    "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
)  # fmt: skip

DATES = Dates(
    months=_MONTHS,
    month_abbreviations={
        "ene": "enero", "feb": "febrero", "mar": "marzo", "abr": "abril", "jun": "junio",
        "jul": "julio", "ago": "agosto", "sep": "septiembre", "sept": "septiembre",
        "oct": "octubre", "nov": "noviembre", "dic": "diciembre",
    },
    weekday_abbreviations={
        "lun": "lunes", "mar": "martes", "mié": "miércoles", "jue": "jueves", "vie": "viernes",
        "sáb": "sábado", "dom": "domingo",
    },
    day=lambda lead, day: "primero" if day == 1 else NUMBERS.cardinal(str(day)),
    day_mark=r"\.?[ºo°]?",
    month_link="de ",
    of_month=" de ",
    of_year=" de ",
    leads=frozenset({"el", "del", "al", "hasta"}),
    to="al",
)  # fmt: skip


def _time(hour: int, minute: int, second: int | None, suffix: str) -> str:
    words = [NUMBERS.cardinal(str(hour), "f")]
    if minute:
        zero = "cero " if minute < 10 else ""
        words.append(zero + NUMBERS.cardinal(str(minute)))
    if second:
        words.append(f"y {NUMBERS.counted(str(second), MEASURES.second)}")
    if re.match("h", suffix, re.IGNORECASE):
        words.append("horas" if hour != 1 or minute else "hora")
    elif suffix[:1] in ("a", "A"):
        words.append("a eme")
    elif suffix[:1] in ("p", "P"):
        words.append("pe eme")
    return " ".join(words)


TIMES = Times(
    say=_time,
    suffix=r"[ap]\.?\s?m\.?|[AP]\.?M\.?|h(?:oras|rs?|s)?\b\.?",
    hour_letter="h",
    to="a",
)

_PARTS = {2: "medio", 3: "tercio", 4: "cuarto", 8: "octavo", 100: "centésimo", 1000: "milésimo"}


def _fraction(whole: str, top: str, bottom: str) -> str | None:
    if len(top) > 2 or int(bottom) not in range(2, 13) or int(top) == 0:
        return None
    if whole:
        return f"{NUMBERS.cardinal(whole)} y {_part(top, bottom)}"
    return _part(top, bottom)


def _part(top: str, bottom: str) -> str:
    number = int(bottom)
    if number == 2 and top == "1":
        return "medio"
    if number > 10:
        part = {11: "onceavo", 12: "doceavo"}[number]
    else:
        part = _PARTS.get(number) or NUMBERS.ordinal(bottom)
    return f"{NUMBERS.cardinal(top, 'm')} {part}{'s' if int(top) > 1 else ''}"


FRACTIONS = Fractions(say=_fraction, ratio="a", over="sobre", score="a")

ABBREVIATIONS = Abbreviations(
    anywhere={
        "p. ej.": "por ejemplo", "EE. UU.": "Estados Unidos", "EEUU": "Estados Unidos",
        "a. C.": "antes de Cristo", "d. C.": "después de Cristo",
        "a. de C.": "antes de Cristo", "d. de C.": "después de Cristo",
        "Ud.": "usted", "Uds.": "ustedes", "Vd.": "usted", "Vds.": "ustedes", "vs.": "contra",
        "Avda.": "Avenida", "Av.": "Avenida", "C/": "Calle", "Pza.": "Plaza", "Plza.": "Plaza",
        "Ctra.": "Carretera", "Dpto.": "Departamento", "Depto.": "Departamento",
        "dcha.": "derecha", "izda.": "izquierda", "izq.": "izquierda", "aprox.": "aproximadamente",
        "Sr.": "señor", "Sra.": "señora", "Sres.": "señores", "s/n": "sin número",
        "dto.": "descuento", "incl.": "incluido", "ud.": "unidad", "uds.": "unidades",
        "Tel:": "Teléfono:", "tel.": "teléfono", "S. M.": "Su Majestad", "Ref.": "Referencia",
        "s. f.": "sin fecha",
        "P. D.": "posdata", "c/u": "cada uno", "atte.": "atentamente",
        "admón.": "administración", "Cía.": "Compañía", "S. A.": "S A", "S. L.": "S L",
        "JJ. OO.": "Juegos Olímpicos", "RR. HH.": "Recursos Humanos", "FF. AA.": "Fuerzas Armadas",
    },
    closing={"etc.": "etcétera"},
    before_name={
        "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Sres.": "señores",
        "Sras.": "señoras", "Dr.": "doctor", "Dra.": "doctora", "Dres.": "doctores",
        "D.": "don", "D.ª": "doña", "Dª": "doña", "Dña.": "doña", "Prof.": "profesor",
        "Profa.": "profesora", "Lic.": "licenciado", "Ing.": "ingeniero", "Arq.": "arquitecto",
        "Gral.": "general", "Cap.": "capitán", "Sto.": "santo", "Sta.": "santa", "S.": "san",
        "Mons.": "monseñor", "Fr.": "fray",
    },
    before_number={
        "n.º": "número", "nº": "número", "n°": "número", "N.º": "número", "Nº": "número",
        "núm.": "número", "Núm.": "número", "n.": "número", "No.": "número", "#": "número",
        "n.os": "números", "págs.": "páginas", "pág.": "página", "pp.": "páginas", "p.": "página",
        "art.": "artículo", "arts.": "artículos", "cap.": "capítulo", "caps.": "capítulos",
        "vol.": "volumen", "t.": "tomo", "fig.": "figura",
        "tfno.": "teléfono", "Tfno.": "teléfono", "Tlf.": "teléfono", "tlf.": "teléfono",
        "s.": "siglo", "ed.": "edición", "km.": "kilómetro",  "Art.": "artículo",
        "Cap.": "capítulo", "Fig.": "figura",
    },
)  # fmt: skip


def _regnal(name: str, value: int) -> str:
    feminine = name.endswith("a") or name == "Isabel"
    if value <= 10:
        return NUMBERS.ordinal(str(value), "f" if feminine else "m")
    return NUMBERS.cardinal(str(value))


def _before_roman(word: str, value: int) -> str:
    if word.lower().startswith("capítulo") and value <= 10:
        return NUMBERS.ordinal(str(value), "m")
    if word.lower().startswith(("siglo", "s.")) and value <= 10:
        return NUMBERS.ordinal(str(value), "m")
    return NUMBERS.cardinal(str(value))


ROMANS = Romans(
    before=(
        r"siglos?|capítulos?|tomos?|volumen|volúmenes|libros?|actos?|partes?|títulos?|anexos?|"
        r"fases?|tipos?|nivel|grados?|números?|artículos?|secciones|sección|escenas?|temas?"
    ),
    before_say=_before_roman,
    names=(
        "Felipe", "Carlos", "Fernando", "Alfonso", "Isabel", "Luis", "Juan", "Juan Carlos",
        "Juan Pablo", "Pablo", "Pío", "Benedicto", "León", "Gregorio", "Clemente", "Inocencio",
        "Enrique", "Jorge", "Eduardo", "Ricardo", "Guillermo", "Jaime", "Pedro", "Sancho",
        "Ramiro", "García", "Catalina", "Napoleón", "Alejandro", "Nicolás", "Federico",
        "Francisco", "Leopoldo", "Balduino", "Alberto", "Víctor Manuel", "Humberto", "Manuel",
        "José", "Urbano", "Sixto", "Julio", "Adriano", "Esteban", "Martín", "Bonifacio",
        "Ramsés", "Tutmosis", "Darío", "Filipo", "Ptolomeo", "Otón", "Maximiliano", "Margarita",
        "Ordoño", "Bermudo", "Ramón Berenguer", "Recaredo", "Constantino", "Teodosio", "Mohamed",
        "Hassan", "Abderramán", "María", "Gustavo", "Haakon", "Cristián", "Harald", "Jacobo",
    ),
    regnal=_regnal,
)  # fmt: skip

ACRONYMS = Acronyms(
    letters=word_set("DNI NIF CIF ADN ARN UE PP TV CD DVD GPS FBI ITV IA AM FM PDF USB"),
    words=word_set("PIB OMS ONU OTAN NASA IVA AVE PSOE CIA VIP OPEP UNESCO FIFA UEFA RAE OK"),
    short_words=word_set(
        "a al de del el la lo los las en es no ni o os se si su sus te tu un una y "
        "ya yo me mi mis le les por que qué con sin son ha he hay más muy tan fin sol mar voz sí"
    ),
)

PHONES = Phones(
    patterns=(
        r"[6-9]\d{2} \d{3} \d{3}", r"[6-9]\d{2} \d{2} \d{2} \d{2}", r"[6-9]\d{8}",
        r"[6-9]\d{2}[-.]\d{3}[-.]\d{3}", r"9\d \d{3} \d{2} \d{2}",
    ),
    group=NUMBERS.digits,
    plus="más",
)  # fmt: skip

SIGNS = Signs(
    words={
        "&": "y", "@": "arroba", "%": "por ciento", "‰": "por mil", "§": "párrafo", "+": "más",
        "=": "igual a", "<": "menor que", ">": "mayor que", "≤": "menor o igual que",
        "≥": "mayor o igual que", "≠": "distinto de", "≈": "aproximadamente", "±": "más o menos",
        "×": "por", "÷": "dividido entre", "√": "raíz cuadrada de", "∞": "infinito", "°": "grados",
        "€": "euros", "$": "dólares", "£": "libras", "¥": "yenes", "©": "copyright",
        "®": "marca registrada", "™": "marca registrada", "→": "a", "−": "menos",
        "²": "al cuadrado", "³": "al cubo", "№": "número", "µ": "micro", "π": "pi",
    },
    between_numbers={"x": "por", "*": "por", "·": "por"},
    before_number={"~": "unos", "#": "número"},
    address={
        ".": "punto", "/": "barra", "@": "arroba", "-": "guion", "_": "guion bajo",
        ":": "dos puntos",
        "?": "interrogación", "=": "igual", "&": "y", "+": "más", "#": "almohadilla",
        "%": "por ciento",
        "~": "virgulilla",
    },
    version="versión",
    hashtag="almohadilla",
)  # fmt: skip

_MASCULINE_IN_A = word_set(
    "atletas colegas astronautas dálmatas espías policías piratas días mapas problemas programas "
    "temas sistemas idiomas planetas climas poemas poetas esquemas "
    "síntomas teoremas dilemas gramas kilogramas cometas pijamas diplomas fantasmas panoramas "
    "lemas dramas cinemas tranvías guardias"
) - {"cometas", "guardias"}
_FEMININE = word_set(
    "veces noches calles clases llaves mujeres manos partes imágenes leyes flores luces voces "
    "naves "
    "torres nubes redes sedes paredes tardes fuentes claves series fases frases bases bolsas "
    "cruces "
    "raíces narices pieles sales cárceles señales catedrales capitales aves serpientes muertes "
    "suertes mentes gentes fiebres sangres hambres legumbres costumbres cumbres libertades fotos "
    "motos "
    "radios actrices directrices perdices nueces hélices matrices variables vocales órdenes"
)
_NO_NOUN = word_set(
    "es las los más menos pues tras dos tres seis nos les sus unos unas entonces después además "
    "antes "
    "mis tus otras otros sois eres estás has vas ellas ellos esas estas esos estos detrás jamás "
    "atrás "
    "lunes martes miércoles jueves viernes"
)


def _gender_before(word: str) -> str:
    """The gender in which a number counts a word: "casas" -> "f"; "" where it counts nothing."""
    word = word.lower()
    if word in _NO_NOUN or len(word) < 3:
        return ""
    if word in _FEMININE or word.endswith(
        ("ciones", "siones", "dades", "tades", "tudes", "umbres")
    ):
        return "f"
    if word.endswith("as"):
        return "m" if word in _MASCULINE_IN_A or word.endswith("istas") else "f"
    return "m" if word.endswith("s") or word in ("mil", "millones") else ""


def _is_feminine(word: str) -> bool:
    plural = word.lower().rstrip("s") + "s"
    return _gender_before(plural) == "f"


_PARTS_OF = Parts(NUMBERS, MEASURES.units, ("medio", "media"), "de", "y", _fraction, _is_feminine)

_FEMININE_TITLES = {
    "Lic.": "licenciada", "Ing.": "ingeniera", "Arq.": "arquitecta", "Prof.": "profesora",
}  # fmt: skip


def _identity(match: re.Match[str]) -> str:
    """The number of an identity card: 12345678Z."""
    return f"{NUMBERS.digits(match[0])} {match[0][-1]}"


_FIRST: list[RuleRow] = [
    (
        "postcode",
        r"(?<!\w)(?:C\.\s?P\.|CP)\s?(\d{5})(?!\d)",
        lambda match: f"código postal {NUMBERS.digits(match[1])}",
    ),
    *part_rows(_PARTS_OF),
    *shared_rows("grados", "kilómetro"),
    ("phone", r"(?<!\w)\d{8}-?[A-Z](?!\w)", _identity),
    (
        "abbreviation",
        r"(?<=\b[lL]a )(?:Lic|Ing|Arq|Prof)\.(?= [A-ZÁÉÍÓÚÑ])",
        lambda match: _FEMININE_TITLES[match[0]],
    ),
    ("money", rf"\$\s?({NUMBER})\s?(MXN|USD|ARS|COP|CLP)(?!\w)", lambda m: f"{m[1]} {m[2]}"),
]

_EVENTS = {
    "Guerra": "f", "República": "f", "Edición": "f", "Dinastía": "f", "Conferencia": "f",
    "Cumbre": "f", "Feria": "f", "Legislatura": "f", "Bienal": "f", "Asamblea": "f",
    "Olimpiada": "f", "Carrera": "f", "Marcha": "f", "Semana": "f", "Internacional": "f",
    "Jornadas": "fs", "Juegos": "ms", "Congreso": "m", "Centenario": "m", "Reich": "er",
    "Concilio": "m", "Premio": "er", "Encuentro": "er", "Trofeo": "er", "Festival": "er",
    "Plan": "er", "Certamen": "er", "Foro": "er", "Milenio": "er",
}  # fmt: skip

_BEFORE_ONE = word_set(
    "hay había tengo tienes tiene tenemos tienen queda quedan falta faltan compra compré de y o u "
    "con "
    "en por a para sin es son solo sólo cada hace dentro tras durante añade añada pide pidió más "
    "hasta desde entre como unos necesito quiero"
)
_COUNTED = word_set(
    "segundo minuto hora día semana mes año vez euro dólar peso kilo litro metro persona"
)
_NOT_AFTER_ONE = word_set("del los las por para con que más menos sobre entre hasta desde ser")


def _before_noun(match: re.Match[str]) -> str | None:
    if match["word"] in _NOT_AFTER_ONE:
        return None
    return {"1": "primer", "3": "tercer"}[match[1]]


_BEFORE_NUMBERS: list[RuleRow] = [
    ("ordinal", r"(?<![\w.,])([13])\.?[º°](?= (?P<word>[a-záéíóúñ]{3,30})(?!\w))", _before_noun),
    numeral_row(NUMBERS, _EVENTS),
    pair_row("siglos?|capítulos?|tomos?", "y|e|o|a|al", _before_roman),
    one_row(
        _BEFORE_ONE, _COUNTED, _NOT_AFTER_ONE, lambda word: "una " if _is_feminine(word) else "un "
    ),
    ("fraction", r"(?<=\d)/(?=(?:19|20)\d\d(?![\d/]))", lambda match: " barra "),
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
        "º": "m", ".º": "m", "°": "m", "ª": "f", ".ª": "f", "er": "er", ".er": "er", "ro": "m",
        "do": "m", "to": "m", "ra": "f", "da": "f", "ta": "f", "os": "ms", ".os": "ms",
        "as": "fs", ".as": "fs", "mo": "m", "ma": "f", "vo": "m", "va": "f", "no": "m", "na": "f",
    },
    gender_before=_gender_before,
    has_roman_ordinals=False,
)  # fmt: skip

_RULES = build_rules(LANGUAGE, first=_FIRST, before_numbers=[*_BEFORE_NUMBERS])


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What Spanish is spoken as, with the letters and marks of the text."""
    return verbalize_by(LANGUAGE, _RULES, mapped, off)
