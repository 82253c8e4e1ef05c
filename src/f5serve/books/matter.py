"""Parts of a book that are not read out: cover, copyright page, contents, index, notes."""

from __future__ import annotations

import re
from collections.abc import Iterable

_REASONS: dict[str, tuple[str, str]] = {
    "cover": (
        "cover doc-cover coverpage",
        "cover|front cover|cover page|umschlag|cover image|couverture|portada|cubierta|copertina"
        "|omslag|обложка|封面|表紙",
    ),
    "title page": (
        "titlepage title-page halftitlepage halftitle half-title-page fulltitle",
        "title page|half title|half-title page|titelseite|titel|page de titre|portadilla"
        "|frontespizio|титульный лист|扉页|书名页|扉",
    ),
    "copyright page": (
        "copyright-page copyright imprint doc-credits imprimatur",
        "copyright|copyright page|copyright notice|imprint|legal notice|impressum|droits d'auteur"
        "|mentions légales|créditos|derechos de autor|colofone|版权|版权页|版权信息|版權頁|奥付",
    ),
    "table of contents": (
        "toc doc-toc landmarks toc-brief contents",
        "contents|table of contents|inhalt|inhaltsverzeichnis|sommaire|table des matières|índice"
        "|contenido|contenidos|sumário|indice|sommario|inhoud|inhoudsopgave|содержание|оглавление"
        "|目录|目錄|目次|차례|목차",
    ),
    "list of figures": (
        "loi lot loa lov list-of-illustrations",
        "list of illustrations|illustrations|list of figures|list of tables|list of maps"
        "|abbildungsverzeichnis|tabellenverzeichnis|table des illustrations",
    ),
    "index": (
        "index doc-index index-group",
        "index|register|stichwortverzeichnis|personenregister|sachregister|index des noms|索引",
    ),
    "notes": (
        "endnotes footnotes rearnotes notes doc-endnotes",
        "notes|footnotes|endnotes|anmerkungen|endnoten|fußnoten|notas|примечания|注释|註釋|脚注",
    ),
    "bibliography": (
        "bibliography doc-bibliography",
        "bibliography|works cited|references|literaturverzeichnis|bibliographie|bibliografía"
        "|bibliografia|参考文献|參考文獻",
    ),
    "colophon": ("colophon doc-colophon", "colophon|kolophon"),
}
"""For each reason the types that say it, of epub:type, role and the guide; and the titles."""

_BY_TYPE = {word: reason for reason, (types, _) in _REASONS.items() for word in types.split()}
_BY_TITLE = {
    title: reason for reason, (_, titles) in _REASONS.items() for title in titles.split("|")
}

_TITLE_EDGE = " .:*·—–-_[]()"
_LEGAL = {
    "copyright": re.compile(r"©|\bcopyright\b|\(c\) ?\d{4}", re.IGNORECASE),
    "isbn": re.compile(r"\bISBN\b"),
    "rights": re.compile(
        r"all rights reserved|no part of this (?:book|publication)|alle rechte vorbehalten"
        r"|tous droits réservés|todos los derechos reservados|tutti i diritti riservati"
        r"|все права защищены|版权所有|版權所有|著作権",
        re.IGNORECASE,
    ),
}
_MOST_OF_BLOCK = 2_000


def reason_of_types(types: Iterable[str]) -> str:
    """Why a document of these types is not read out; "" if it is."""
    return next((_BY_TYPE[one] for one in sorted(types) if one in _BY_TYPE), "")


def reason_of_title(title: str) -> str:
    """Why a chapter with this title is not read out; "" if it is."""
    return _BY_TITLE.get(title.strip(_TITLE_EDGE).lower(), "")


def legal_phrases(text: str) -> frozenset[str]:
    """Which phrases of a copyright page a paragraph has."""
    if len(text) > _MOST_OF_BLOCK:
        return frozenset()
    return frozenset(name for name, pattern in _LEGAL.items() if pattern.search(text))
