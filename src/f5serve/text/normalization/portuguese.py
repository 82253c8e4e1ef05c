"""Portuguese: numbers, dates, signs and abbreviations as words, in Brazil's and Europe's writing.

Where the two read differently ("dezesseis", "dezasseis"), it is Brazil's reading.
"""

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
    Numbers,
)
from f5serve.text.normalization.portuguese_amounts import MEASURES, MONEY
from f5serve.text.normalization.romance import (
    Parts,
    numeral_row,
    one_row,
    pair_row,
    part_rows,
    shared_rows,
    word_set,
)

NUMBERS = Numbers(
    code="pt",
    cardinals=ROMANCE_CARDINALS,
    ordinals=ROMANCE_ORDINALS,
    comma="vírgula",
    point="ponto",
    minus="menos",
    plus="mais",
    of_millions="de",
    plus_minus="mais ou menos",
    singular_below_two=True,
)

DATES = Dates(
    months=(
        "janeiro", "fevereiro", "março", "abril", "maio", "junho",
        "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
    ),
    month_abbreviations={
        "jan": "janeiro", "fev": "fevereiro", "mar": "março", "abr": "abril", "mai": "maio",
        "jun": "junho", "jul": "julho", "ago": "agosto", "set": "setembro", "out": "outubro",
        "nov": "novembro", "dez": "dezembro",
    },
    weekday_abbreviations={
        "seg": "segunda", "ter": "terça", "qua": "quarta", "qui": "quinta", "sex": "sexta",
        "sáb": "sábado", "dom": "domingo",
    },
    day=lambda lead, day: "primeiro" if day == 1 else NUMBERS.cardinal(str(day)),
    day_mark=r"\.?[ºo°]?",
    month_link="de ",
    of_month=" de ",
    of_year=" de ",
    leads=frozenset({"dia", "até"}),
    to="a",
)  # fmt: skip


def _time(hour: int, minute: int, second: int | None, suffix: str) -> str:
    word = MEASURES.hour.form(hour == 1)
    hours = NUMBERS.cardinal(str(hour), "f")
    is_long = bool(re.match("h", suffix, re.IGNORECASE))
    words = [hours]
    if not minute and (is_long or hour > 1):
        words.append(word)
    if minute:
        words.append(f"e {NUMBERS.cardinal(str(minute))}")
    if second:
        words.append(f"e {NUMBERS.counted(str(second), MEASURES.second)}")
    return " ".join(words)


TIMES = Times(say=_time, suffix=r"h(?:oras?|rs?|s)?", hour_letter="h", to="às")


def _fraction(whole: str, top: str, bottom: str) -> str | None:
    number = int(bottom)
    if len(top) > 2 or int(top) == 0 or number not in {*range(2, 21), 100, 1000}:
        return None
    if number == 2:
        part = "meio" if top == "1" else f"{NUMBERS.cardinal(top)} meios"
    else:
        name = "terço" if number == 3 else NUMBERS.ordinal(bottom)
        if 10 < number < 21:
            name = f"{NUMBERS.cardinal(bottom)} avos"
        plural = "s" if int(top) > 1 and not name.endswith("s") else ""
        part = f"{NUMBERS.cardinal(top)} {name}{plural}"
    return f"{NUMBERS.cardinal(whole)} e {part}" if whole else part


FRACTIONS = Fractions(say=_fraction, ratio="para", over="sobre", score="a")

ABBREVIATIONS = Abbreviations(
    anywhere={
        "p. ex.": "por exemplo", "a. C.": "antes de Cristo", "d. C.": "depois de Cristo",
        "Av.": "Avenida", "Pça.": "Praça", "Pç.": "Praça", "Lgo.": "Largo", "Tv.": "Travessa",
        "Rod.": "Rodovia", "Estr.": "Estrada", "Al.": "Alameda", "dto.": "direito",
        "esq.": "esquerdo", "apto.": "apartamento", "ap.": "apartamento", "séc.": "século",
        "sécs.": "séculos", "V. Exa.": "Vossa Excelência", "S. A.": "S A", "Ltda.": "Limitada",
        "Lda.": "Limitada", "vs.": "contra", "aprox.": "aproximadamente", "obs.": "observação",
        "Obs.": "Observação", "c/": "com", "s/": "sem", "Sr.": "senhor", "Sra.": "senhora",
        "Srs.": "senhores", "Tel:": "Telefone:",
        "tel.": "telefone",
        "Exmo.": "Excelentíssimo",
        "Exma.": "Excelentíssima", "V. Sa.": "Vossa Senhoria", "máx.": "máximo", "mín.": "mínimo",
    },
    closing={"etc.": "etcetera", "Cia.": "Companhia", "Cia": "Companhia"},
    before_name={
        "Sr.": "senhor", "Sra.": "senhora", "Srª": "senhora", "Srta.": "senhorita",
        "Srs.": "senhores", "Sras.": "senhoras", "Dr.": "doutor", "Dra.": "doutora",
        "Drª": "doutora", "Prof.": "professor", "Profa.": "professora", "Profª": "professora",
        "Eng.": "engenheiro", "Eng.º": "engenheiro", "Arq.": "arquiteto", "Gen.": "general",
        "Cel.": "coronel", "Cap.": "capitão", "Pe.": "padre", "Fr.": "frei", "Sto.": "santo",
        "Sta.": "santa", "S.": "São", "Min.": "ministro", "Dep.": "deputado", "Sen.": "senador",
        "Des.": "desembargador", "Dom.": "dom", "Dona.": "dona",
    },
    before_number={
        "n.º": "número", "nº": "número", "n°": "número", "núm.": "número", "n.": "número",
        "No.": "número", "#": "número", "n.os": "números", "pág.": "página", "págs.": "páginas",
        "p.": "página", "pp.": "páginas", "art.": "artigo", "arts.": "artigos", "inc.": "inciso",
        "cap.": "capítulo", "caps.": "capítulos", "vol.": "volume", "fig.": "figura",
        "tel.": "telefone", "fone": "telefone", "t.": "tomo", "ed.": "edição", "séc.": "século",
        "km.": "quilômetro", "al.": "alínea", "fl.": "folha", "fls.": "folhas",
    },
)  # fmt: skip


def _regnal(name: str, value: int) -> str:
    feminine = name.endswith("a") or name in ("Isabel", "Leonor", "Beatriz")
    if value <= 10:
        return NUMBERS.ordinal(str(value), "f" if feminine else "m")
    return NUMBERS.cardinal(str(value))


ROMANS = Romans(
    before=(
        "séculos?|capítulos?|tomos?|volumes?|livros?|atos?|partes?|títulos?|anexos?|fases?|tipos?|"
        "nível|graus?|números?|artigos?|inciso|seção|secção|cena"
    ),
    names=(
        "João", "Pedro", "Manuel", "Afonso", "Dinis", "Sancho", "Fernando", "Duarte", "Sebastião",
        "Henrique", "Filipe", "José", "Maria", "Miguel", "Luís", "Carlos", "Isabel", "Paulo",
        "Pio", "Bento", "Leão", "Gregório", "Clemente", "Inocêncio", "Urbano", "Jorge", "Eduardo",
        "Ricardo", "Guilherme", "Jaime", "Catarina", "Napoleão", "Alexandre", "Nicolau",
        "Frederico", "Francisco", "Leopoldo", "Alberto", "Emanuel", "Humberto", "Sisto", "Júlio",
        "Adriano", "Estêvão", "Martinho", "Bonifácio", "Ramsés", "Dario", "Ptolomeu", "Margarida",
        "Constantino", "Teodósio", "Gustavo", "Felipe", "Cristina", "Vítor", "Juan", "Otão",
    ),
    regnal=_regnal,
)  # fmt: skip

ACRONYMS = Acronyms(
    letters=word_set(
        "IBGE CPF CNPJ RG UE TV CD DVD GPS PDF USB IA DNA ADN PT PSDB ISS IPTU IPI FGTS "
        "OAB INSS BNDES ICMS STF STJ TSE CEO FBI CIA"
    ),
    words=word_set("ONU NATO OTAN NASA PIB CEP IVA SUS UNESCO FIFA UEFA OK ANVISA MEC EUA OMS"),
    mixed={"EUA": "Estados Unidos"},
    short_words=word_set(
        "a as ao à às da das de do dos e é em eu já lá me meu na nas no nos não o os ou por que se "
        "sem ser seu só sua te teu tu tua um uma vai vem ver vou aí ali até bem boa bom com dá dia "
        "fim foi há lei mal mar mas mês mil mim paz pé põe pôr qual quem rei rua sei sim sol são "
        "tal tão tem têm vez voz você"
    ),
)

PHONES = Phones(
    patterns=(
        r"\(\d{2}\) ?\d{4,5}[- ]?\d{4}", r"\d{2} \d{4,5}-\d{4}",
        r"(?!(?:1[5-9]|20)\d\d-)\d{4,5}-\d{4}",
        r"[29]\d{2} \d{3} \d{3}", r"2\d \d{3} \d{4}", r"9\d{8}", r"0[38]00[ -]\d{3}[ -]\d{4}",
    ),
    group=NUMBERS.digits,
    plus="mais",
)  # fmt: skip

SIGNS = Signs(
    words={
        "&": "e", "@": "arroba", "%": "por cento", "‰": "por mil", "§": "parágrafo", "+": "mais",
        "=": "igual a", "<": "menor que", ">": "maior que", "≤": "menor ou igual a",
        "≥": "maior ou igual a", "≠": "diferente de", "≈": "aproximadamente",
        "±": "mais ou menos", "×": "vezes", "÷": "dividido por", "√": "raiz quadrada de",
        "∞": "infinito", "°": "graus", "€": "euros", "R$": "reais", "$": "dólares", "£": "libras",
        "¥": "ienes", "©": "copyright", "®": "marca registrada", "™": "marca", "→": "para",
        "−": "menos", "²": "ao quadrado", "³": "ao cubo", "№": "número", "µ": "micro", "π": "pi",
    },
    between_numbers={"x": "vezes", "*": "vezes", "·": "vezes"},
    before_number={"~": "cerca de", "#": "número"},
    address={
        ".": "ponto", "/": "barra", "@": "arroba", "-": "hífen", "_": "underline",
        ":": "dois pontos", "?": "interrogação", "=": "igual", "&": "e", "+": "mais",
        "#": "cerquilha", "%": "por cento", "~": "til",
    },
    version="versão",
    hashtag="hashtag",
)  # fmt: skip

_MASCULINE = word_set(
    "atletas colegas astronautas dálmatas policiais patriotas piratas democratas "
    "dias mapas problemas programas temas sistemas idiomas planetas climas poemas poetas esquemas "
    "sintomas teoremas dilemas gramas quilogramas pijamas diplomas fantasmas panoramas cometas "
    "aromas dramas telefonemas cinemas sofás"
)
_FEMININE = word_set(
    "vezes noites tardes chaves mulheres mãos partes imagens leis flores luzes vozes naves torres "
    "nuvens redes sedes paredes fontes séries fases frases bases cruzes raízes peles cartas mães "
    "viagens mensagens páginas porcentagens ordens origens garagens classes crises árvores "
    "nozes atrizes matrizes ações irmãs maçãs manhãs fãs gentes fomes doses"
)
_NO_NOUN = word_set(
    "as às das nas pelas mas dois três seis dez nos vos seus suas meus minhas outras outros duas "
    "mais menos depois antes apenas elas eles essas estas aquelas esses estes atrás é são"
)


def _gender_before(word: str) -> str:
    """The gender in which a number counts a word: "casas" -> "f"; "" where it counts nothing."""
    word = word.lower()
    if word in _NO_NOUN or len(word) < 3:
        return ""
    if word in _FEMININE or word.endswith(("ções", "sões", "dades", "tudes", "agens")):
        return "f"
    if word.endswith("as"):
        return "m" if word in _MASCULINE or word.endswith("istas") else "f"
    return "m" if word.endswith("s") or word in ("mil", "milhões") else ""


def _is_feminine(word: str) -> bool:
    return _gender_before(word.lower().rstrip("s") + "s") == "f"


_PARTS_OF = Parts(NUMBERS, MEASURES.units, ("meio", "meia"), "de", "e", _fraction, _is_feminine)


def _title(match: re.Match[str]) -> str:
    """D. João is "dom", D. Maria "dona"."""
    name = match[1]
    feminine = name.endswith(("a", "Isabel", "Beatriz", "Leonor", "Inês", "Carmen"))
    return f"{'dona' if feminine else 'dom'} {name}"


def _digit_groups(match: re.Match[str]) -> str:
    return ", ".join(map(NUMBERS.digits, re.findall(r"\d++", match[0])))


def _day_and_month(match: re.Match[str]) -> str | None:
    day = int(match[1])
    if not 1 <= day <= 31:
        return None
    return f"{DATES.day('', day)} de {DATES.months[int(match[2]) - 1]}"


_STREET = r"(?:^|(?<=[.:;,] )|(?<=[nd]a )|(?<=à )|(?<=pela ))"

_FIRST: list[RuleRow] = [
    ("phone", r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])", _digit_groups),
    ("phone", r"(?<![\w.-])\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}(?![\w-])", _digit_groups),
    ("postcode", r"(?<![\w.-])\d{5}-\d{3}(?![\w-])", _digit_groups),
    ("postcode", r"(?<![\w.-])\d{4}-\d{3}(?![\w-])", _digit_groups),
    ("abbreviation", r"(?<![\w.])D\. ([A-ZÀ-Ý][a-zà-ÿ]{1,20})", _title),
    ("abbreviation", rf"{_STREET}R\.(?= (?:d[aoe]s? )?[A-ZÀ-Ý])", lambda match: "Rua"),
    ("date", r"(?<=\b[eE]m )(\d{1,2})/(0[1-9]|1[0-2])(?![\d/])", _day_and_month),
    *part_rows(_PARTS_OF),
    *shared_rows("graus", "quilômetro"),
    ("sign", r"(?<=\d)x(?= (?:de|sem|no|com)\b)", lambda match: " vezes"),
    ("fraction", r"(?<=\d\.\d{3})/(?=\d{2}(?!\d))", lambda match: " de "),
]

_EVENTS = {
    "Guerra": "f", "República": "f", "Edição": "f", "Dinastia": "f", "Conferência": "f",
    "Cúpula": "f", "Cimeira": "f", "Feira": "f", "Legislatura": "f", "Bienal": "f",
    "Assembleia": "f", "Olimpíada": "f", "Corrida": "f", "Semana": "f", "Internacional": "f",
    "Congresso": "m", "Centenário": "m", "Reich": "m", "Concílio": "m", "Prêmio": "m",
    "Encontro": "m", "Troféu": "m", "Festival": "m", "Plano": "m", "Fórum": "m", "Milênio": "m",
    "Governo": "m",
}  # fmt: skip

_BEFORE_ONE = word_set(
    "há havia tenho tem temos têm resta restam falta faltam compre comprei de e ou com em por a "
    "para "
    "sem é são só cada faz dentro após durante adicione junte peça mais até desde entre como quero"
)
_COUNTED = word_set("segundo minuto hora dia semana mês ano vez euro dólar real quilo litro pessoa")
_NOT_AFTER_ONE = word_set("dos das por para com que mais menos sobre entre até desde ser não")

_BEFORE_NUMBERS: list[RuleRow] = [
    numeral_row(NUMBERS, _EVENTS),
    pair_row(
        "séculos?|capítulos?|tomos?", "e|ou|ao?", lambda word, value: NUMBERS.cardinal(str(value))
    ),
    one_row(
        _BEFORE_ONE, _COUNTED, _NOT_AFTER_ONE, lambda word: "uma " if _is_feminine(word) else "um "
    ),
    ("fraction", r"(?<=\d)/(?=(?:19|20)\d\d(?![\d/]))", lambda match: " de "),
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
        "º": "m", ".º": "m", "°": "m", "ª": "f", ".ª": "f", "o": "m", "a": "f", "ro": "m",
        "ra": "f", "do": "m", "da": "f", "to": "m", "ta": "f", "mo": "m", "ma": "f", "vo": "m",
        "va": "f",
    },
    gender_before=_gender_before,
    has_roman_ordinals=False,
)  # fmt: skip

_RULES = build_rules(LANGUAGE, first=_FIRST, before_numbers=[*_BEFORE_NUMBERS])


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What Portuguese is spoken as, with the letters and marks of the text."""
    return verbalize_by(LANGUAGE, _RULES, mapped, off)
