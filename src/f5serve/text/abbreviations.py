"""Abbreviations whose full stop ends no sentence, by language."""

from __future__ import annotations

import re
from functools import lru_cache

_COMMON = """Mr Mrs Ms Mx Messrs Dr Prof Sr Jr St Mt vs Gen Col Capt Lt Sgt Maj Adm Gov Sen Rep Rev
    Hon Mme Mlle Hr Fr Sra Srta z.B d.h u.a e.g i.e cf ca bzw approx
    al"""
"""Those that are abbreviations in every language that has them."""

_COMMON_BEFORE_NUMBERS = """No Nos Nr Fig Figs Vol vol Art p pp Ch ch Sec Abs Jan Feb Mar Apr Jun
    Jul Aug Sep Sept Oct Nov Dec"""

_BEFORE_WORDS = {
    "en": "Drs Supt Insp Cpl Pvt Cmdr Pres Ft Mss viz incl Messrs",
    "de": """Hrn Frl Dipl Ing Mag vgl evtl ggf inkl exkl zzgl bspw sog insb insbes geb verh Mio Mrd
        Tsd ugs engl franz dt österr allg ehem betr gez i.d.R o.ä s.o s.u v.a u.U m.E z.T z.Zt i.A
        i.V a.D n.Chr v.Chr hl Hl mind max min Tel Abt Univ stellv einschl ausschl usf zw entspr""",
    "es": """Sres Sras Dra Drs Dres Dña Ud Uds Vd Vds Profa Lic Ing Arq Gral Cnel Cmdte Tte Sgto
        Mons Sto Sta Excmo Excma Ilmo Ilma Avda Av Pza Plza Ctra Urb EE FF CC ej p.ej aprox dpto
        depto tel tfno máx mín s pág""",
    "fr": """M MM Mmes Mlles Drs Pr Me Mgr Ste p.ex c.-à-d env av apr boul bd tél chap max min
        réf dép ex""",
    "it": """Sig Sigg Sig.ra Sig.na Dott Dott.ssa Prof.ssa Avv Arch Geom Rag On Mons SS Spett Egr
        Gent Ill Preg es p.es cfr tel sec fam mitt dest int ing geom dr dott sig avv""",
    "pt": """Srs Sras Dra Drs Dras Profa Eng Arq Exmo Exma Ilmo Ilma Sto Sta Pe Cel Ten Sgto Av Pça
        Trav Lgo Rod ex p.ex tel dept aprox séc sécs máx mín""",
    "nl": """dhr mevr mw mej drs ir ing mr prof ds jhr mgr bijv bv d.w.z m.a.w o.a t.a.v i.p.v m.b.t
        n.a.v resp incl excl evt nl zgn vgl mln mld max min tel""",
    "pl": """p pp prof hab mgr inż lek ks św bł gen płk ppłk mjr kpt por al ul pl os woj pow np tzw
        tj tzn m.in ok godz tys zob ryc rys rozdz art ust pkt poz tel wyd red im dr str nr""",
    "ru": """г ул пр просп пл пер наб ш д кв корп обл пос им т.е т.к т.н проф акад доц канд ген полк
        лейт св о оз см ср напр прим англ нем фр лат греч рус тыс млн млрд тел стр гл рис табл
        гр тов г-жа""",
    "uk": "вул просп пл пров наб буд кв обл ім проф акад доц ген св див пор напр англ тис млн млрд",
    "cs": "např tzv tj č str sv Ing Mgr Bc MUDr JUDr PhDr RNDr doc prof mj popř cca tel nám ul",
    "sv": "t.ex bl.a d.v.s dvs resp s.k kl nr ca kap jfr f.d",
    "da": "f.eks bl.a dvs resp kl nr ca kap jf hr fru",
    "no": "f.eks bl.a dvs resp kl nr ca kap jf hr fru",
    "fi": "esim n ks mm ns prof tri puh",
    "tr": "Av Sn örn Alb Yrd Doç Ord Cad Sok Mah Apt",
    "hu": "dr Dr pl ún kb id ifj özv Szt u ill",
    "ro": "Dl Dna D-na dl dna str nr ex cca dvs prof ing",
    "hi": """डॉ श्री प्रो सुश्री कु पं स्व मो ए बी सी डी ई एफ जी एच आई जे के एल एम एन ओ पी क्यू आर एस टी
        यू वी डब्ल्यू एक्स वाई जेड""",
    "mr": "डॉ श्री प्रो पं कै",
    "bn": "ড ডা মো প্রফেসর",
    "ar": "د أ م ص ج ق",
    "fa": "د ص ج ق",
    "th": "ดร ศ ผศ รศ พล ต.ค",
    "el": "κ κκ π.χ δηλ βλ σελ αρ",
}
"""Before names and other words."""

_BEFORE_NUMBERS = {
    "en": "Eq Eqs Ref Refs App para paras Pt Rm Apt Ste Hwy Rte Ext ext",
    "de": """Nrn Kap Bd Bde Abb Tab Ziff Aufl Az Str Pkt Anm Fn Rn Rz Ausg Jg Mär Okt Dez Mo Di Mi
        Do Fr Sa So Bhf Hs Lfg""",
    "es": """núm núms págs art arts cap caps vol fig n nº ene feb mar abr may jun jul ago sep sept
        oct nov dic""",
    "fr": """n no nos nº art fig éd t vers janv févr avr juil sept oct nov déc lun mar mer jeu ven
        sam dim""",
    "it": """n nn pag pagg art artt cap vol fig gen feb mar apr mag giu lug ago set sett ott nov
        dic""",
    "pt": """n nº núm pág págs art arts cap vol fig jan fev mar abr mai jun jul ago set out nov
        dez""",
    "nl": "nr nrs blz art afb fig hfst dl jan feb mrt apr jun jul aug sept okt nov dec",
    "pl": "s t par sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "ru": "с п пп ч т д янв февр мар апр июн июл авг сент окт нояб дек",
    "uk": "с п ч т рис табл",
    "cs": "s odst kap obr",
    "tr": "No Sf s",
}
"""Before numbers only."""

_WORDS_ELSEWHERE = """p s d t m ex max min es On Gen Me nl mr av ok al os pl ul por im pr apr env
    ing int sec fam o c n no nos art fig cap mar set ago out may jun mai maj sep gen mag lug lis mer
    sam dim ven jeu So Do Mi Mo Di Sa Fr Pt Ste para App Ref Ext ext lip par sie vers dl Av u id ill
    str ch ca bd mm tri Sn Ord am Al SS Ill Gent EE dest mitt ns us"""
"""Words of one language that are abbreviations in another: left out where it is unknown which."""

_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĘĚĞİĶĹĽŁŃŇŐŘŚŞŠŤŪŮŰŹŻŽȘȚΑ-ΩЀ-Я"
_INITIALS = re.compile(rf"(?:[{_UPPER}]\.-?){{0,3}}[{_UPPER}]")
_NUMBER_OF_AN_ITEM = re.compile("(?:^|[:：][\"'”’»›)\\]}」』】》〉）］｝]*)\\s*\\d{1,3}\\.$")
_ROMAN = re.compile("(?:[IVXLCDM]{2,7}|[VX])(?![^\\W_])")
_LETTER_THEN_STOP = re.compile(r"[^\W\d_]\.")
_YEAR = re.compile(r"\d ?г$")
"""A year in Russian; without a number it is a town: "2020 г.", "г. Москва"."""

_SPACED = (
    "d. h",
    "u. a",
    "s. o",
    "s. u",
    "v. a",
    "o. ä",
    "z. T",
    "u. U",
    "m. E",
    "p. ej",
    "т. е",
    "т. к",
)
_APOSTROPHE = re.compile("['’]")
_OPENING = "\"'“‘„«‹([{¿¡"
_WINDOW = 40

_GERMAN_ORDINAL = re.compile(
    r"(?:\b(?:[Aa]m|[Ii]m|[Vv]om|[Zz]um|[Zz]ur|[Bb]eim|[Dd]er|[Dd]ie|[Dd]as|[Dd]em|[Dd]en|[Dd]es"
    r"|[Jj]ede[rmns]?|[Ss]ein|[Ii]hr|[Ee]in|[Bb]is|[Aa]b|[Ss]eit|und|zwischen) )?"
    r"(?<![\d.,:])\d{1,3}$"
)
_GERMAN_MONTH = re.compile(
    "(?:Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
    "|Jan|Feb|Mär|Apr|Jun|Jul|Aug|Sept?|Okt|Nov|Dez)(?!\\w)"
)
_ONLY_GERMAN_MONTH = re.compile(
    "(?:Januar|Jänner|Februar|März|Mai|Juni|Juli|Oktober|Dezember)(?!\\w)"
)


def is_abbreviated(text: str, following: str, language: str = "") -> bool:
    """Whether the full stop at the end of `text` ends no sentence: "Dr." "No." 5, "1." of a list.

    Args:
        text: the sentence up to the stop, or its last words.
        following: what comes after the space, or its beginning.
        language: ISO 639-1; where it is unknown, what is a word in other languages is none.
    """
    if not text.endswith("."):
        return False
    text = text[-_WINDOW:]
    before = text[:-1]
    token = before.split()[-1] if before[-1:].strip() else ""
    token = _APOSTROPHE.split(token)[-1].lstrip(_OPENING)
    if _YEAR.search(before):
        return False
    words, before_numbers = _tables(language)
    if _INITIALS.fullmatch(token) or token in words or _NUMBER_OF_AN_ITEM.search(text):
        return True
    if before.endswith(_SPACED):
        return True
    if len(token) == 1 and token.isalpha() and _LETTER_THEN_STOP.match(following):
        return True  # "z. B.", "p. m."
    if token in before_numbers:
        return following[:1].isdecimal() or _ROMAN.match(following) is not None
    return _is_ordinal(before, token, following, language)


def _is_ordinal(before: str, token: str, following: str, language: str) -> bool:
    """A German ordinal: "am 3. Mai", "der 2. Weltkrieg", "Ludwig XIV. von Frankreich"."""
    if language == "de":
        if _ROMAN.fullmatch(token):
            return True
        found = _GERMAN_ORDINAL.search(before)
        return found is not None and (
            not found[0].isdecimal() or _GERMAN_MONTH.match(following) is not None
        )
    is_day = not language and token.isdecimal() and len(token) <= 2
    return is_day and _ONLY_GERMAN_MONTH.match(following) is not None


@lru_cache(maxsize=64)
def _tables(language: str) -> tuple[frozenset[str], frozenset[str]]:
    return (
        _forms(_COMMON, _BEFORE_WORDS, language),
        _forms(_COMMON_BEFORE_NUMBERS, _BEFORE_NUMBERS, language),
    )


def _forms(common: str, table: dict[str, str], language: str) -> frozenset[str]:
    """The abbreviations of a language as they are written, and with a capital."""
    if language:
        own = set(table.get(language, "").split())
        return frozenset({*common.split(), *own, *map(_capitalized, own)})
    every = {word for words in table.values() for word in words.split()}
    every -= set(_WORDS_ELSEWHERE.split())
    return frozenset({*common.split(), *every})


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]
