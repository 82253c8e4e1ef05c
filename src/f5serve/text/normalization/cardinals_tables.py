"""Words for the marks and signs of plain numbers, by language, and mends of CLDR's numbers."""

from __future__ import annotations

from typing import NamedTuple


class NumberWords(NamedTuple):
    """How a language writes and says what stands in and at a number.

    Attributes:
        mark: the word for the decimal mark; "" leaves decimals as they are.
        minus: the word for the sign.
        percent: the word behind the number, or its forms (see `plural`); "" leaves the sign.
        plural: which form of `percent` goes with a number: "" one form for all; "one" one for 1
            and one for others; "slavic", "czech" and "baltic" one, few, many and fraction.
        point: is the decimal mark a point, and the comma for groups?
        digits: are decimals read digit by digit? Else up to two of them as a number.
        percent_first: does the word stand before the number?
    """

    mark: str
    minus: str = ""
    percent: str = ""
    plural: str = ""
    point: bool = False
    digits: bool = False
    percent_first: bool = False


WORDS = {
    "af": NumberWords("komma", "minus", "persent"),
    "ar": NumberWords("فاصلة", "ناقص", "بالمئة", point=True),
    "az": NumberWords("vergül", "mənfi", "faiz"),
    "be": NumberWords("коска", "мінус", "працэнт/працэнты/працэнтаў/працэнта", "slavic"),
    "bg": NumberWords("запетая", "минус", "процент/процента", "one"),
    "bs": NumberWords("zarez", "minus", "posto"),
    "ca": NumberWords("coma", "menys", "per cent"),
    "cs": NumberWords("čárka", "mínus", "procento/procenta/procent/procenta", "czech"),
    "cy": NumberWords("pwynt", "minws", "y cant", point=True, digits=True),
    "da": NumberWords("komma", "minus", "procent", digits=True),
    "el": NumberWords("κόμμα", "μείον", "τοις εκατό"),
    "eo": NumberWords("komo", "minus", "elcento/elcentoj", "one"),
    "et": NumberWords("koma", "miinus", "protsent/protsenti", "one"),
    "fa": NumberWords("ممیز", "منفی", "درصد", point=True),
    "fi": NumberWords("pilkku", "miinus", "prosentti/prosenttia", "one"),
    "fil": NumberWords("punto", "minus", "porsiyento", point=True, digits=True),
    "he": NumberWords("נקודה", "מינוס", point=True),
    "hi": NumberWords("दशमलव", "माइनस", "प्रतिशत", point=True, digits=True),
    "hr": NumberWords("zarez", "minus", "posto"),
    "hu": NumberWords("egész", "mínusz", "százalék"),
    "hy": NumberWords("ամբողջ", "մինուս", "տոկոս"),
    "id": NumberWords("koma", "minus", "persen", digits=True),
    "is": NumberWords("komma", "mínus", "prósent"),
    "ka": NumberWords("მთელი", "მინუს", "პროცენტი"),
    "kk": NumberWords("үтір", "минус", "пайыз"),
    "ko": NumberWords("점", "마이너스", "퍼센트", point=True, digits=True),
    "lt": NumberWords("kablelis", "minus", "procentas/procentai/procentų/procento", "baltic"),
    "lv": NumberWords("komats", "mīnus", "procents/procenti/procenti/procenti", "baltic"),
    "ms": NumberWords("perpuluhan", "minus", "peratus", point=True, digits=True),
    "nb": NumberWords("komma", "minus", "prosent"),
    "ne": NumberWords("दशमलव", "माइनस", "प्रतिशत", point=True, digits=True),
    "nl": NumberWords("komma", "min", "procent"),
    "nn": NumberWords("komma", "minus", "prosent"),
    "pl": NumberWords("przecinek", "minus", "procent"),
    "ro": NumberWords("virgulă", "minus", "la sută"),
    "ru": NumberWords("запятая", "минус", "процент/процента/процентов/процента", "slavic"),
    "sk": NumberWords("čiarka", "mínus", "percento/percentá/percent/percenta", "czech"),
    "sl": NumberWords("vejica", "minus"),
    "sq": NumberWords("presje", "minus", "për qind"),
    "sr": NumberWords("запета", "минус", "посто"),
    "sv": NumberWords("komma", "minus", "procent"),
    "sw": NumberWords("nukta", "hasi", "asilimia", point=True, digits=True, percent_first=True),
    "th": NumberWords("จุด", "ลบ", "เปอร์เซ็นต์", point=True, digits=True),
    "tr": NumberWords("virgül", "eksi", "yüzde", percent_first=True),
    "uk": NumberWords("кома", "мінус", "відсоток/відсотки/відсотків/відсотка", "slavic"),
    "vi": NumberWords("phẩy", "âm", "phần trăm"),
}

SAME = {"no": "nb", "tl": "fil"}
"""Other codes of a language."""

WRONG = {"am", "lo", "mk", "ta", "zu"}
"""CLDR's numbers of these are wrong or unfinished."""

LONGEST = {"sl": 6}
"""Digits up to which CLDR's numbers are right; longer ones are read digit by digit."""

RULES_OF = {"bs": "sr_Latn"}
"""Languages whose numbers are those of another, after mends."""

MENDS: dict[str, tuple[tuple[str, str], ...]] = {
    "ar": (
        (r"(ثلاث|أربع|خمس|ست|سبع|تسع)ة مائة", r"\1مائة"),
        ("ثمانية مائة", "ثمانمائة"),
        ("إحدى عشر", "أحد عشر"),
        ("إثنا عشر", "اثنا عشر"),
        (r"\bإثنان مليون", "مليونان"),
        (r"\bإثنان مليار", "ملياران"),
        (r"\b(و?(?:ثلاث|أربع|خمس|ست|سبع|ثماني|تسع|عشر)ة) مليون", r"\1 ملايين"),
        (r"\b(و?(?:ثلاث|أربع|خمس|ست|سبع|ثماني|تسع|عشر)ة) مليار", r"\1 مليارات"),
        ("إثنان", "اثنان"),
        (r"مائتان ألف", "مائتا ألف"),
        (r"^ألفين", "ألفان"),
    ),
    "be": (("i", "і"),),
    "bs": ((r"\bdve\b", "dvije"), ("dvesta", "dvjesta")),
    "el": (("χίλιάδες", "χιλιάδες"),),
    "fil": (("[áà]", "a"), ("[íì]", "i"), ("[óò]", "o"), ("[úùû]", "u"), ("â", "a")),
    "hr": ((r"\b(dvije|tri|četiri) tisuća", r"\1 tisuće"),),
    "lt": ((r"\b(du|trys|keturi|penki|šeši|septyni|aštuoni|devyni) milijonų", r"\1 milijonai"),),
    "ro": (("ş", "ș"), ("ţ", "ț")),
    "uk": (("ʼ", "’"),),
}
"""What CLDR gets wrong: patterns and replacements."""

BEFORE_PERCENT = {
    "cs": (("jeden", "jedno"), ("dva", "dvě")),
    "sk": (("jeden", "jedno"), ("dva", "dve")),
}
"""Last words of a number of percent, where the noun is neuter."""

KOREAN_COUNTERS = (
    r"(?:개(?![월국년소점사])|명|사람|시간|살|마리|권|잔|병(?!동)|번째|가지|그루|송이|켤레|벌|달|곡|군데"
    r"|시(?=\b|에|부터|까지|쯤|경|반|가|는|를|이|의|와))"
)
"""Nouns that follow native numbers, which go up to 99."""

ORDINAL_DOT = {
    "bs", "cs", "da", "et", "fi", "hr", "hu", "is", "lt", "lv", "nb", "nn", "pl", "sk", "sl", "sr",
    "tr",
}  # fmt: skip
"""Languages that write ordinals as a number with a full stop."""

TIME_DOT = {"da", "fi", "id", "nb", "nn", "sv"}
"""Languages that write 14.30 for a time."""

SUFFIXES = {"hu": "-", "tr": "'’", "id": "-"}
"""Marks between a number and its ending, where the ending goes with the words as it is written."""

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech",
    "da": "Danish", "el": "Greek", "et": "Estonian", "fa": "Persian", "fi": "Finnish",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nb": "Norwegian", "nl": "Dutch",
    "pl": "Polish", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sr": "Serbian", "sv": "Swedish", "ta": "Tamil", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
}  # fmt: skip
