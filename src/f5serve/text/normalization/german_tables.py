"""Words, abbreviations, units and names of German."""

from __future__ import annotations

from f5serve.text.normalization.european_language import Currency
from f5serve.text.normalization.european_numbers import Noun

MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
    "November", "Dezember",
)  # fmt: skip
MONTH_ABBREVIATIONS = {
    "Jan": "Januar", "Jän": "Januar", "Jänner": "Januar", "Feb": "Februar", "Mrz": "März",
    "Apr": "April", "Jun": "Juni", "Jul": "Juli", "Aug": "August", "Sep": "September",
    "Sept": "September", "Okt": "Oktober", "Nov": "November", "Dez": "Dezember",
}  # fmt: skip
WEEKDAY_ABBREVIATIONS = {
    "Mo": "Montag", "Di": "Dienstag", "Mi": "Mittwoch", "Do": "Donnerstag", "Fr": "Freitag",
    "Sa": "Samstag", "So": "Sonntag",
}  # fmt: skip

CURRENCIES = (
    Currency(("€", "EUR"), Noun("Euro"), Noun("Cent"), ("Euro",)),
    Currency(("US$", "USD", "$"), Noun("Dollar"), Noun("Cent"), ("US-Dollar", "Dollar")),
    Currency(("£", "GBP"), Noun("Pfund", "", "n"), Noun("Penny", "Pence"), ("Pfund",)),
    Currency(("CHF", "SFr.", "Fr."), Noun("Franken"), Noun("Rappen"), ("Franken",)),
    Currency(("¥", "JPY"), Noun("Yen"), None, ("Yen",)),
    Currency(("₽", "RUB"), Noun("Rubel"), Noun("Kopeke", "Kopeken", "f"), ("Rubel",)),
    Currency(("PLN",), Noun("Zloty"), Noun("Groschen"), ("Zloty",)),
    Currency(("DM",), Noun("Mark", "", "f"), Noun("Pfennig"), ("D-Mark", "Mark")),
    Currency(("₿", "BTC"), Noun("Bitcoin"), None),
)
MAGNITUDES = {
    "Tsd.": Noun("tausend", "", ""),
    "tausend": Noun("tausend", "", ""),
    "k": Noun("tausend", "", ""),
    "K": Noun("tausend", "", ""),
    "Mio.": Noun("Million", "Millionen", "f"),
    "Mio": Noun("Million", "Millionen", "f"),
    "M": Noun("Million", "Millionen", "f"),
    "Mill.": Noun("Million", "Millionen", "f"),
    "Million": Noun("Million", "Millionen", "f"),
    "Millionen": Noun("Million", "Millionen", "f"),
    "Mrd.": Noun("Milliarde", "Milliarden", "f"),
    "Mrd": Noun("Milliarde", "Milliarden", "f"),
    "Mia.": Noun("Milliarde", "Milliarden", "f"),
    "Milliarde": Noun("Milliarde", "Milliarden", "f"),
    "Milliarden": Noun("Milliarde", "Milliarden", "f"),
    "Bio.": Noun("Billion", "Billionen", "f"),
}

UNITS = {
    "J.": Noun("Jahr", "Jahre", "n"), "l/100 km": Noun("Liter auf hundert Kilometer"),
    "mm": Noun("Millimeter"), "cm": Noun("Zentimeter"), "dm": Noun("Dezimeter"),
    "m": Noun("Meter"), "km": Noun("Kilometer"), "nm": Noun("Nanometer"), "µm": Noun("Mikrometer"),
    "mm²": Noun("Quadratmillimeter"), "cm²": Noun("Quadratzentimeter"),
    "m²": Noun("Quadratmeter"), "m2": Noun("Quadratmeter"), "qm": Noun("Quadratmeter"),
    "km²": Noun("Quadratkilometer"), "km2": Noun("Quadratkilometer"), "ha": Noun("Hektar"),
    "cm³": Noun("Kubikzentimeter"), "m³": Noun("Kubikmeter"), "m3": Noun("Kubikmeter"),
    "µg": Noun("Mikrogramm", "", "n"), "mg": Noun("Milligramm", "", "n"),
    "g": Noun("Gramm", "", "n"), "kg": Noun("Kilogramm", "", "n"),
    "t": Noun("Tonne", "Tonnen", "f"),
    "Pfd.": Noun("Pfund", "", "n"), "Ztr.": Noun("Zentner"),
    "ml": Noun("Milliliter"), "cl": Noun("Zentiliter"), "dl": Noun("Deziliter"),
    "l": Noun("Liter"), "L": Noun("Liter"), "hl": Noun("Hektoliter"),
    "mg/dl": Noun("Milligramm pro Deziliter", "", "n"),
    "ms": Noun("Millisekunde", "Millisekunden", "f"), "s": Noun("Sekunde", "Sekunden", "f"),
    "Sek.": Noun("Sekunde", "Sekunden", "f"), "sec": Noun("Sekunde", "Sekunden", "f"),
    "min": Noun("Minute", "Minuten", "f"), "Min.": Noun("Minute", "Minuten", "f"),
    "Min": Noun("Minute", "Minuten", "f"), "h": Noun("Stunde", "Stunden", "f"),
    "Std.": Noun("Stunde", "Stunden", "f"), "Std": Noun("Stunde", "Stunden", "f"),
    "km/h": Noun("Kilometer pro Stunde"), "m/s": Noun("Meter pro Sekunde"),
    "m/s²": Noun("Meter pro Sekunde zum Quadrat"),
    "mph": Noun("Meile pro Stunde", "Meilen pro Stunde", "f"),
    "mW": Noun("Milliwatt", "", "n"), "W": Noun("Watt", "", "n"), "kW": Noun("Kilowatt", "", "n"),
    "MW": Noun("Megawatt", "", "n"), "GW": Noun("Gigawatt", "", "n"),
    "TW": Noun("Terawatt", "", "n"),
    "Wh": Noun("Wattstunde", "Wattstunden", "f"),
    "kWh": Noun("Kilowattstunde", "Kilowattstunden", "f"),
    "MWh": Noun("Megawattstunde", "Megawattstunden", "f"),
    "TWh": Noun("Terawattstunde", "Terawattstunden", "f"),
    "mAh": Noun("Milliamperestunde", "Milliamperestunden", "f"),
    "mV": Noun("Millivolt", "", "n"), "V": Noun("Volt", "", "n"), "kV": Noun("Kilovolt", "", "n"),
    "mA": Noun("Milliampere", "", "n"), "A": Noun("Ampere", "", "n"), "Ω": Noun("Ohm", "", "n"),
    "J": Noun("Joule", "", "n"), "kJ": Noun("Kilojoule", "", "n"),
    "cal": Noun("Kalorie", "Kalorien", "f"), "kcal": Noun("Kilokalorie", "Kilokalorien", "f"),
    "PS": Noun("PS", "", "n"), "N": Noun("Newton", "", "n"), "Nm": Noun("Newtonmeter", "", "n"),
    "Pa": Noun("Pascal", "", "n"), "hPa": Noun("Hektopascal", "", "n"), "bar": Noun("Bar", "", "n"),
    "Hz": Noun("Hertz", "", "n"), "kHz": Noun("Kilohertz", "", "n"),
    "MHz": Noun("Megahertz", "", "n"),
    "GHz": Noun("Gigahertz", "", "n"), "dB": Noun("Dezibel", "", "n"),
    "kB": Noun("Kilobyte", "", "n"), "KB": Noun("Kilobyte", "", "n"),
    "MB": Noun("Megabyte", "", "n"),
    "GB": Noun("Gigabyte", "", "n"), "TB": Noun("Terabyte", "", "n"),
    "kbit/s": Noun("Kilobit pro Sekunde", "", "n"), "Mbit/s": Noun("Megabit pro Sekunde", "", "n"),
    "Gbit/s": Noun("Gigabit pro Sekunde", "", "n"), "MB/s": Noun("Megabyte pro Sekunde", "", "n"),
    "Mbit": Noun("Megabit", "", "n"), "px": Noun("Pixel", "", "n"), "ct": Noun("Cent"),
    "Ct.": Noun("Cent"),
    "Stk.": Noun("Stück", "", "n"), "St.": Noun("Stück", "", "n"), "EL": Noun("Esslöffel"),
    "TL": Noun("Teelöffel"), "Einw.": Noun("Einwohner"), "ppm": Noun("Teile pro Million", "", "n"),
}  # fmt: skip

ANYWHERE = {
    "Dr. med.": "Doktor med", "Dr. phil.": "Doktor phil", "Dr. jur.": "Doktor jur",
    "Fa.": "Firma", "p. a.": "per annum",
    "z. B.": "zum Beispiel", "d. h.": "das heißt", "u. a.": "unter anderem",
    "o. Ä.": "oder Ähnliches",
    "u. Ä.": "und Ähnliches", "i. d. R.": "in der Regel", "z. T.": "zum Teil", "v. a.": "vor allem",
    "s. o.": "siehe oben", "s. u.": "siehe unten", "u. U.": "unter Umständen",
    "o. g.": "oben genannt",
    "i. A.": "im Auftrag", "i. V.": "in Vertretung", "z. Hd.": "zu Händen", "z. Zt.": "zur Zeit",
    "u. v. m.": "und vieles mehr", "v. Chr.": "vor Christus", "n. Chr.": "nach Christus",
    "a. D.": "außer Dienst", "m. E.": "meines Erachtens", "e. V.": "eingetragener Verein",
    "ca.": "circa", "bzw.": "beziehungsweise", "evtl.": "eventuell", "ggf.": "gegebenenfalls",
    "inkl.": "inklusive", "exkl.": "exklusive", "zzgl.": "zuzüglich", "bzgl.": "bezüglich",
    "vgl.": "vergleiche", "sog.": "sogenannte", "usw.": "und so weiter", "etc.": "et cetera",
    "ugs.": "umgangssprachlich", "geb.": "geboren", "gest.": "gestorben", "gem.": "gemäß",
    "max.": "maximal", "mind.": "mindestens", "rd.": "rund",
    "allg.": "allgemein",
    "MwSt.": "Mehrwertsteuer", "Tel.": "Telefon", "Str.": "Straße", "Pl.": "Platz",
    "Jh.": "Jahrhundert",
    "Jhd.": "Jahrhundert", "Hbf.": "Hauptbahnhof", "Hbf": "Hauptbahnhof", "bspw.": "beispielsweise",
    "gegr.": "gegründet", "vs.": "versus", "insb.": "insbesondere", "ehem.": "ehemalig",
    "einschl.": "einschließlich", "lt.": "laut", "usf.": "und so fort",
    "Bhf.": "Bahnhof", "Abt.": "Abteilung", "Anm.": "Anmerkung", "Red.": "Redaktion", "od.": "oder",
    "Co.": "Co", "PLZ": "Postleitzahl", "jun.": "junior", "sen.": "senior",
}  # fmt: skip
WITHOUT_NUMBER = {
    "Mio.": "Millionen", "Mrd.": "Milliarden", "Min.": "Minuten", "Std.": "Stunden",
    "Sek.": "Sekunden", "Tsd.": "Tausend",
}  # fmt: skip
"""Abbreviations that count something; behind a number they are units."""

CLOSING = {key: ANYWHERE.pop(key) for key in ("usw.", "etc.", "u. Ä.", "o. Ä.", "u. v. m.", "usf.")}
BEFORE_NAME = {
    "Dr.": "Doktor", "Prof.": "Professor", "Hr.": "Herr", "Hrn.": "Herrn", "Fr.": "Frau",
    "St.": "Sankt",
    "Dipl.-Ing.": "Diplomingenieur", "Ing.": "Ingenieur", "Mag.": "Magister", "Hl.": "Heilige",
    "hl.": "heilige", "Gebr.": "Gebrüder", "Fam.": "Familie", "Med.": "Medizin",
}  # fmt: skip
BEFORE_NUMBER = {
    "Nr.": "Nummer", "Nrn.": "Nummern", "S.": "Seite", "Abs.": "Absatz", "Art.": "Artikel",
    "Bd.": "Band",
    "Kap.": "Kapitel", "Abb.": "Abbildung", "Tab.": "Tabelle", "Aufl.": "Auflage",
    "Jg.": "Jahrgang",
    "H.": "Heft", "Z.": "Zeile", "Rn.": "Randnummer", "No.": "Nummer", "N°": "Nummer",
    "№": "Nummer",
    "Ziff.": "Ziffer", "Kl.": "Klasse", "Anh.": "Anhang", "Fig.": "Figur", "Vol.": "Band",
    "Pos.": "Position",
}  # fmt: skip

MASCULINE_NAMES = (
    "Ludwig", "Friedrich", "Wilhelm", "Heinrich", "Karl", "Otto", "Konrad", "Leopold", "Franz",
    "Josef",
    "Joseph", "Maximilian", "Ferdinand", "Rudolf", "Philipp", "Johannes", "Johann", "Paul",
    "Benedikt",
    "Pius", "Leo", "Gregor", "Innozenz", "Klemens", "Clemens", "Urban", "Franziskus", "Alexander",
    "Peter", "Nikolaus", "Georg", "Eduard", "Jakob", "Richard", "Charles", "Napoleon", "Ramses",
    "August",
    "Christian", "Gustav", "Adolf", "Albert", "Albrecht", "Alfons", "Harald", "Sixtus", "Julius",
    "Konstantin", "Iwan", "Henri", "Louis", "Erik", "Olaf", "Stephan", "Sigismund", "Lothar",
    "Bonifatius",
    "Umberto", "Viktor", "Emanuel", "Willem", "Carl", "Juan", "Carlos", "Felipe",
)  # fmt: skip
FEMININE_NAMES = (
    "Elisabeth", "Katharina", "Maria", "Margarethe", "Margrethe", "Anna", "Kleopatra", "Beatrix",
    "Wilhelmina", "Isabella", "Johanna",
)  # fmt: skip

ACRONYM_LETTERS = frozenset([
    "AC",
    "ADAC", "AOK", "ARD", "BAFÖG", "BGB", "BRD", "CDU", "CSU", "DDR", "EDV", "EKG", "EU", "EZB",
    "FAZ", "FU", "GEZ", "HIV", "IBM", "ICE", "ID", "IHK", "IP", "IQ", "IT", "KI", "LKA", "MEZ",
    "OB", "OP", "PC", "RAF", "TU", "TÜV", "UKW", "UN", "US", "USA", "USB", "UV", "VIP", "WLAN",
    "AG", "AGB", "API", "KG", "OHG", "UG", "UI", "UK", "AI", "SUV", "EM", "WM", "ZDF", "ÖPNV",
    "ÖBB", "EKD", "NSU", "AKW", "UBS", "EC", "ECG", "IC", "IAA", "ISBN", "WHO", "CEO", "URL",
    "USD", "EEG", "IOC", "UEFA",
])  # fmt: skip
ACRONYM_WORDS = frozenset([
    "NATO", "UNO", "NASA", "ESA", "UNESCO", "UNICEF", "FIFA", "UEFA", "PISA", "AIDS", "OPEC",
    "LASER", "BAFÖG",
])  # fmt: skip
MIXED_ACRONYMS = {
    "GmbH": "G m b H", "mbH": "m b H", "Lkw": "L K W", "Pkw": "P K W", "AfD": "A f D",
    "CO2": "C O zwei", "CO₂": "C O zwei", "H2O": "H zwei O", "H₂O": "H zwei O", "eV": "e V",
    "BaföG": "Bafög", "BAföG": "Bafög",
}  # fmt: skip
SHORT_WORDS = frozenset([
    "ab", "am", "an", "auf", "aus", "bei", "bis", "da", "das", "dem", "den", "der", "des", "die",
    "du", "ein", "er", "es", "eine", "gar", "gut", "ich", "ihr", "im", "in", "ist", "ja", "je",
    "man", "mir", "mit", "nah", "neu", "nie", "nur", "ob", "oh", "ok", "okay", "rot", "sah",
    "seh", "sie", "so", "tor", "tot", "um", "und", "uns", "vom", "von", "vor", "was", "weg",
    "wem", "wen", "wer", "wie", "wir", "wo", "zu", "zum", "zur", "hey", "ah", "ach", "aha", "au",
    "oje", "oma", "opa", "uhu", "arm", "alt", "alle", "euch", "hat",
])  # fmt: skip

FEMININE_ENDINGS = (
    "ung",
    "heit",
    "keit",
    "schaft",
    "ion",
    "tät",
    "ik",
    "ei",
    "in",
    "e",
    "ur",
    "anz",
    "enz",
)
FEMININE_NOUNS = frozenset([
    "Frau", "Person", "Nacht", "Stadt", "Hand", "Mutter", "Tochter", "Schwester", "Uhr", "Zeit",
    "Tür", "Bank", "Firma", "Zahl", "Kraft", "Wurst", "Wahl", "Art", "Form", "Fahrt", "Mail",
    "Woche", "Liga", "Oma", "Pizza", "Cola", "Nummer", "Feder", "Mauer", "Steuer", "Leiter",
    "Maus", "Gans", "Haut", "Luft",
])  # fmt: skip
NOT_FEMININE = frozenset([
    "Name", "Junge", "Kunde", "Affe", "Hase", "Löwe", "Ende", "Auge", "Interesse", "Kollege",
    "Experte", "Gedanke", "Käse", "Bulle", "Gebäude", "Gebirge", "Stein", "Wein", "Verein",
    "Termin", "Bein", "Schwein", "Benzin", "Kamin", "Magazin", "Medikamente", "Museum", "Ei",
    "Brei", "Einheimische",
])  # fmt: skip
NEUTER_NOUNS = frozenset([
    "Mal", "Jahrhundert", "Kapitel", "Semester", "Quartal", "Kind", "Buch", "Haus", "Jahr",
    "Spiel", "Tor", "Bild", "Auto", "Viertel", "Drittel", "Halbjahr", "Lied", "Album", "Stück",
    "Geschoss", "Obergeschoss", "Untergeschoss", "Gebot", "Treffen", "Rennen", "Reich",
    "Stockwerk",
])  # fmt: skip
ORDINAL_NOUNS = NEUTER_NOUNS | frozenset([
    "Platz", "Klasse", "Stock", "Etage", "Auflage", "Runde", "Halbzeit", "Tag", "Woche",
    "Weltkrieg", "Stufe", "Liga", "Bundesliga", "Teil", "Band", "Akt", "Monat", "Satz", "Versuch",
    "Gang", "Rang", "Vorsitzender", "Vorsitzende", "Bürgermeister", "Advent", "Geburtstag",
    "Abschnitt", "Absatz", "Minute", "Stunde", "Staffel", "Folge", "Ausgabe", "Generation",
    "Preis", "Sieger", "Person", "Reihe", "Seite", "Sitzung", "Spieltag", "Lesung", "Sonate",
    "Sinfonie", "Symphonie", "Etappe", "Strophe", "Fassung", "Version", "Juror",
    "Programm", "Quartal", "Internationale", "Senat", "Zivilsenat",
])  # fmt: skip
