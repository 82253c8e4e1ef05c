"""Books to test with, made on the spot: EPUB 2 and 3, docx, PDF."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from html import escape

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="{path}" media-type="application/oebps-package+xml"/></rootfiles></container>"""

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def zipped(entries: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file with these entries; the first one, `mimetype`, is stored."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else method
            archive.writestr(zipfile.ZipInfo(name), data, kind)
    return file.getvalue()


def page(body: str, language: str = "en", body_type: str = "", title: str = "") -> str:
    """An XHTML document of EPUB 3."""
    kind = f' epub:type="{body_type}"' if body_type else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml"'
        f' xmlns:epub="http://www.idpf.org/2007/ops" xml:lang="{language}">'
        f"<head><title>{title}</title></head><body{kind}>{body}</body></html>"
    )


def old_page(body: str) -> str:
    """An XHTML 1.1 document of EPUB 2, with its DOCTYPE and entities."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN"'
        ' "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title></head>'
        f"<body>{body}</body></html>"
    )


def package(
    documents: Sequence[str],
    *,
    version: str = "3.0",
    metadata: str = "",
    manifest: str = "",
    spine: str = "",
    guide: str = "",
    not_linear: Sequence[str] = (),
    language: str = "en",
) -> str:
    """A package document; `documents` are the paths of its spine, beside it."""
    items = "".join(
        f'<item id="d{n}" href="{escape(path)}" media-type="application/xhtml+xml"/>'
        for n, path in enumerate(documents)
    )
    refs = "".join(
        f'<itemref idref="d{n}" linear="{"no" if path in not_linear else "yes"}"/>'
        for n, path in enumerate(documents)
    )
    return (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"'
        f' version="{version}" unique-identifier="uid">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:opf="http://www.idpf.org/2007/opf">'
        '<dc:identifier id="other">urn:x:other</dc:identifier>'
        '<dc:identifier id="uid">urn:isbn:9780000000002</dc:identifier>'
        f"<dc:title>The Lamp &amp; the River</dc:title><dc:language>{language}</dc:language>"
        '<dc:creator opf:role="aut">Ana Lind</dc:creator>'
        '<dc:creator opf:role="ill">Bo Ek</dc:creator><dc:date>2021-03-04</dc:date>'
        f"{metadata}</metadata><manifest>{items}{manifest}</manifest>"
        f"<spine{spine}>{refs}</spine>{guide}</package>"
    )


def nav(items: str, landmarks: str = "") -> str:
    """A navigation document; `items` are those of its list."""
    marks = f'<nav epub:type="landmarks"><ol>{landmarks}</ol></nav>' if landmarks else ""
    return page(f'<nav epub:type="toc"><h1>Contents</h1><ol>{items}</ol></nav>{marks}')


NAV_ITEM = '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'


def epub(
    documents: Mapping[str, str | bytes],
    *,
    contents: str = "",
    landmarks: str = "",
    more: Mapping[str, str | bytes] | None = None,
    **options: object,
) -> bytes:
    """An EPUB 3 of these documents, in this order; `contents` are the items of its nav."""
    manifest = str(options.pop("manifest", ""))
    text = package(list(documents), manifest=NAV_ITEM + manifest, **options)  # type: ignore[arg-type]
    entries: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER.format(path="OEBPS/book.opf"),
        "OEBPS/book.opf": text,
    }
    if contents:
        entries["OEBPS/nav.xhtml"] = nav(contents, landmarks)
    entries |= {f"OEBPS/{path}": data for path, data in documents.items()}
    return zipped(entries | dict(more or {}))


def link(href: str, title: str, inner: str = "") -> str:
    """An item of a table of contents."""
    return f'<li><a href="{href}">{title}</a>{f"<ol>{inner}</ol>" if inner else ""}</li>'


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    outline: Sequence[tuple[str, int]] = (),
    title: str = "",
    encrypt: str = "",
) -> bytes:
    """A PDF with these lines on its pages; the outline has titles with the index of their page."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
            NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
    for lines in pages:
        made = writer.add_blank_page(width=420, height=595)
        made[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        shown = "".join(f"({_escaped(line)}) Tj T*\n" for line in lines)
        stream.set_data(f"BT /F1 10 Tf 14 TL 40 550 Td\n{shown}ET".encode("cp1252"))
        made[NameObject("/Contents")] = writer._add_object(stream)
    for name, index in outline:
        writer.add_outline_item(title=name, page_number=index)
    if title:
        writer.add_metadata({"/Title": title, "/Author": "Ana Lind"})
    if encrypt:
        writer.encrypt(encrypt, algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def docx(paragraphs: Sequence[str]) -> bytes:
    """A docx of these paragraphs."""
    from docx import Document

    document, file = Document(), io.BytesIO()
    for text in paragraphs:
        document.add_paragraph(text)
    document.save(file)
    return file.getvalue()


def _escaped(line: str) -> str:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
