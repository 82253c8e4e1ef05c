"""Words, abbreviations, units and names of French."""

from __future__ import annotations

from f5serve.text.normalization.european_language import Currency
from f5serve.text.normalization.european_numbers import Noun

MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
    "novembre", "décembre",
)  # fmt: skip
MONTH_ABBREVIATIONS = {
    "janv": "janvier", "jan": "janvier", "févr": "février", "fév": "février", "avr": "avril",
    "juil": "juillet", "sept": "septembre", "oct": "octobre", "nov": "novembre", "déc": "décembre",
}  # fmt: skip
WEEKDAY_ABBREVIATIONS = {
    "lun": "lundi", "mar": "mardi", "mer": "mercredi", "jeu": "jeudi", "ven": "vendredi",
    "sam": "samedi", "dim": "dimanche", "Lun": "Lundi", "Mar": "Mardi", "Mer": "Mercredi",
    "Jeu": "Jeudi", "Ven": "Vendredi", "Sam": "Samedi", "Dim": "Dimanche",
}  # fmt: skip

CURRENCIES = (
    Currency(("€", "EUR"), Noun("euro", "euros"), Noun("centime", "centimes"), ("euros", "euro")),
    Currency(
        ("US$", "USD", "$"), Noun("dollar", "dollars"), Noun("cent", "cents"), ("dollars", "dollar")
    ),
    Currency(
        ("$CA", "CAD", "C$"), Noun("dollar canadien", "dollars canadiens"), Noun("cent", "cents")
    ),
    Currency(("£", "GBP"), Noun("livre", "livres", "f"), Noun("penny", "pence")),
    Currency(("CHF", "Fr."), Noun("franc suisse", "francs suisses"), Noun("centime", "centimes")),
    Currency(("FF",), Noun("franc", "francs"), Noun("centime", "centimes"), ("francs", "franc")),
    Currency(("¥", "JPY"), Noun("yen", "yens"), None, ("yens", "yen")),
    Currency(("FCFA", "XOF"), Noun("franc C F A", "francs C F A"), None),
    Currency(("₿", "BTC"), Noun("bitcoin", "bitcoins"), None),
)
_MILLION, _BILLION = Noun("million", "millions"), Noun("milliard", "milliards")
MAGNITUDES = {
    "k": Noun("mille", "", ""), "K": Noun("mille", "", ""), "M": _MILLION, "Mio": _MILLION,
    "million": _MILLION, "millions": _MILLION, "Md": _BILLION, "Mds": _BILLION, "Mrd": _BILLION,
    "Mrds": _BILLION, "milliard": _BILLION, "milliards": _BILLION,
}  # fmt: skip


def _metric(prefixes: dict[str, str], sign: str, name: str, gender: str = "m") -> dict[str, Noun]:
    return {
        f"{short}{sign}": Noun(f"{long}{name}", f"{long}{name}s", gender)
        for short, long in prefixes.items()
    }


_SPOON = Noun("cuillère à soupe", "cuillères à soupe", "f")
_TEASPOON = Noun("cuillère à café", "cuillères à café", "f")
_SMALL = {"": "", "m": "milli", "c": "centi", "d": "déci"}
_KILO = {"": "", "m": "milli", "k": "kilo", "M": "méga", "G": "giga", "T": "téra"}
UNITS = {
    "l/100 km": Noun("litre aux cent kilomètres", "litres aux cent kilomètres"),
    **_metric({**_SMALL, "k": "kilo", "µ": "micro", "n": "nano"}, "m", "mètre"),
    **_metric({"": "", "m": "milli", "k": "kilo", "µ": "micro"}, "g", "gramme"),
    **_metric({**_SMALL, "h": "hecto"}, "l", "litre"),
    **_metric({**_SMALL, "h": "hecto"}, "L", "litre"),
    **_metric(_KILO, "W", "watt"), **_metric(_KILO, "Wh", "wattheure"),
    **_metric({"": "", "m": "milli", "k": "kilo"}, "V", "volt"),
    **_metric({"": "", "m": "milli"}, "A", "ampère"),
    **_metric({"m": "milli"}, "Ah", "ampèreheure"),
    **_metric({"": "", "k": "kilo"}, "J", "joule"),
    **_metric({"": "", "h": "hecto", "k": "kilo"}, "Pa", "pascal"),
    **_metric({"k": "kilo", "M": "méga", "G": "giga", "T": "téra"}, "o", "octet"),
    **_metric({"k": "kilo", "M": "méga", "G": "giga", "T": "téra"}, "B", "octet"),
    **_metric({"k": "kilo", "": ""}, "cal", "calorie", "f"),
    "Ko": Noun("kilooctet", "kilooctets"),
    "Mo/s": Noun("mégaoctet par seconde", "mégaoctets par seconde"),
    "Mbit/s": Noun("mégabit par seconde", "mégabits par seconde"),
    "Mb/s": Noun("mégabit par seconde", "mégabits par seconde"),
    "Gbit/s": Noun("gigabit par seconde", "gigabits par seconde"),
    "Hz": Noun("hertz"), "kHz": Noun("kilohertz"), "MHz": Noun("mégahertz"),
    "GHz": Noun("gigahertz"),
    "dB": Noun("décibel", "décibels"), "Ω": Noun("ohm", "ohms"), "N": Noun("newton", "newtons"),
    "cm²": Noun("centimètre carré", "centimètres carrés"),
    "m²": Noun("mètre carré", "mètres carrés"),
    "m2": Noun("mètre carré", "mètres carrés"), "km²": Noun("kilomètre carré", "kilomètres carrés"),
    "km2": Noun("kilomètre carré", "kilomètres carrés"),
    "cm³": Noun("centimètre cube", "centimètres cubes"),
    "m³": Noun("mètre cube", "mètres cubes"), "m3": Noun("mètre cube", "mètres cubes"),
    "ha": Noun("hectare", "hectares"), "t": Noun("tonne", "tonnes", "f"),
    "bar": Noun("bar", "bars"),
    "h": Noun("heure", "heures", "f"), "min": Noun("minute", "minutes", "f"),
    "mn": Noun("minute", "minutes", "f"),
    "s": Noun("seconde", "secondes", "f"), "sec": Noun("seconde", "secondes", "f"),
    "ms": Noun("milliseconde", "millisecondes", "f"),
    "km/h": Noun("kilomètre par heure", "kilomètres par heure"),
    "m/s": Noun("mètre par seconde", "mètres par seconde"),
    "m/s²": Noun("mètre par seconde carrée", "mètres par seconde carrée"),
    "mg/dl": Noun("milligramme par décilitre", "milligrammes par décilitre"),
    "g/l": Noun("gramme par litre", "grammes par litre"), "hab.": Noun("habitant", "habitants"),
    "hab./km²": Noun("habitant par kilomètre carré", "habitants par kilomètre carré"),
    "c. à s.": _SPOON, "c. à soupe": _SPOON, "c. à c.": _TEASPOON, "c. à café": _TEASPOON,
    "ch": Noun("cheval", "chevaux"), "px": Noun("pixel", "pixels"),
    "kcal": Noun("kilocalorie", "kilocalories", "f"),
}  # fmt: skip

ANYWHERE = {
    "tél": "téléphone", "M. le": "Monsieur le", "Mme la": "Madame la",

    "c.-à-d.": "c'est-à-dire", "c-à-d": "c'est-à-dire", "p. ex.": "par exemple",
    "av. J.-C.": "avant Jésus-Christ",
    "apr. J.-C.": "après Jésus-Christ", "ap. J.-C.": "après Jésus-Christ", "J.-C.": "Jésus-Christ",
    "cf.": "confer", "env.": "environ", "max.": "maximum", "tél.": "téléphone",
    "s.v.p.": "s'il vous plaît",
    "svp": "s'il vous plaît", "SVP": "s'il vous plaît", "RDV": "rendez-vous", "rdv": "rendez-vous",
    "qqn": "quelqu'un", "qqch": "quelque chose", "vs": "versus", "vs.": "versus",
    "Cie": "compagnie",
    "N.B.": "nota bene", "apt.": "appartement", "arr.": "arrondissement", "dép.": "département",
    "éd.": "édition", "ex.": "exemple", "resp.": "respectivement", "bcp": "beaucoup",
    "càd": "c'est-à-dire",
    "incl.": "inclus", "Sté": "société",
}  # fmt: skip
CLOSING = {"etc.": "et cetera", "etc…": "et cetera", "etc...": "et cetera"}
BEFORE_NAME = {
    "M.": "Monsieur", "MM.": "Messieurs", "Mme": "Madame", "Mmes": "Mesdames",
    "Mlle": "Mademoiselle",
    "Mlles": "Mesdemoiselles", "Mr": "Monsieur", "Mr.": "Monsieur", "Dr": "docteur",
    "Dr.": "docteur",
    "Drs": "docteurs", "Pr": "professeur", "Pr.": "professeur", "Prof.": "professeur",
    "Me": "Maître",
    "Mgr": "Monseigneur", "St": "Saint", "Ste": "Sainte", "bd": "boulevard", "bd.": "boulevard",
    "bld": "boulevard", "boul.": "boulevard", "av.": "avenue", "ave": "avenue", "pl.": "place",
    "fg": "faubourg",
    "rte": "route", "imp.": "impasse", "all.": "allée", "Gal": "général", "Cdt": "commandant",
}  # fmt: skip
BEFORE_NUMBER = {
    "n°": "numéro", "nº": "numéro", "N°": "numéro", "№": "numéro", "nos": "numéros",
    "n°s": "numéros",
    "p.": "page", "pp.": "pages", "art.": "article", "chap.": "chapitre", "vol.": "volume",
    "fig.": "figure",
    "t.": "tome", "al.": "alinéa", "éd.": "édition", "réf.": "référence", "ch.": "chapitre",

    "tab.": "tableau", "tél": "téléphone", "sect.": "section",
}  # fmt: skip

NAMES = (
    "Louis", "Henri", "François", "Charles", "Philippe", "Napoléon", "Jean", "Paul", "Jean-Paul",
    "Benoît",
    "Pie", "Léon", "Grégoire", "Innocent", "Clément", "Urbain", "Alexandre", "Pierre", "Nicolas",
    "Georges",
    "Édouard", "Édouard", "Jacques", "Richard", "Guillaume", "Frédéric", "Ferdinand", "Robert",
    "Albert",
    "Léopold", "Baudouin", "Ramsès", "Élisabeth", "Elizabeth", "Catherine", "Marie", "Juan",
    "Carlos",
    "Philip", "Gustave", "Christian", "Harald", "Rainier", "Hassan", "Mohammed", "Amenhotep",
    "Ptolémée",
    "Victor-Emmanuel", "Joseph", "François-Joseph", "Childéric", "Dagobert", "Clotaire", "Hugues",
)  # fmt: skip
FEMININE_NAMES = ("Élisabeth", "Elizabeth", "Catherine", "Marie")

ACRONYM_LETTERS = frozenset([
    "UE", "USA", "US", "EDF", "GDF", "TVA", "PDG", "ONG", "OGM", "IA", "IVG", "CDI", "RATP",
    "RER", "TER", "PME", "PIB", "SUV", "QI", "RSA", "UV", "USB", "API", "UMP", "LCI", "OM", "IRM",
    "ADN", "ARN", "VIP", "IP", "PC", "CE", "AOC", "AOP", "IGN", "INA", "OPA", "PEA", "TF", "UK",
    "RH", "RIB", "CV", "CEO", "URL", "IBM", "EPS", "ETA", "ARS", "CHU", "SAV", "ISF", "IUT",
    "UFR", "BTS", "PS", "PCF", "LFI", "RPR", "EELV", "HIV", "VIH", "ISBN", "BCE", "FMI", "OMC",
    "OMS", "OCDE", "AFP", "AFPA", "CSA", "CIA", "FBI", "RDA", "RFA", "URSS", "SAMU", "SA", "SARL",
    "GPA", "PMA", "ETI", "DOM", "TOM", "PEL", "CEL", "EHPAD", "AG", "UEFA",
])  # fmt: skip
ACRONYM_WORDS = frozenset([
    "ONU", "OTAN", "NASA", "ESA", "UNESCO", "UNICEF", "FIFA", "UEFA", "SMIC", "OPEP", "SIDA",
    "INSEE", "CAF", "CAC", "CNIL", "CAPES", "SAMU", "EHPAD", "DOM", "TOM", "SARL", "PACS", "SPA",
    "ENA", "INA", "MEDEF", "ZAD", "ZEP", "ZUP", "OVNI", "RIB", "PIN", "GAFAM", "RADAR", "LASER",
    "URSSAF", "AFPA", "PEL",
])  # fmt: skip
MIXED_ACRONYMS = {
    "CO2": "C O deux", "CO₂": "C O deux", "H2O": "H deux O", "H₂O": "H deux O", "PhD": "P H D",
}  # fmt: skip
SHORT_WORDS = frozenset([
    "je", "tu", "il", "on", "ils", "le", "la", "les", "un", "une", "de", "du", "des", "et", "ou",
    "où", "ni", "or", "car", "mais", "si", "en", "au", "aux", "à", "y", "ne", "ce", "se", "sa",
    "ta", "ma", "mes", "tes", "ses", "eu", "oui", "non", "ici", "là", "ai", "as", "a", "est",
    "es", "été", "moi", "toi", "lui", "eux", "ami", "bon", "vu", "su", "pu", "lu", "dit", "fou",
    "feu", "jeu", "eau", "air", "vie", "âme", "ok", "ah", "oh", "hé", "eh", "ha", "bah", "aïe",
    "ô", "que", "qui", "quoi", "vue", "rue", "aie", "aide", "stop", "peu",
])  # fmt: skip

FEMININE_ENDINGS = (
    "tion", "sion", "xion", "ette", "ée", "ence", "ance", "ité", "ude", "ure", "esse", "euse",
    "trice", "ille",
    "aine", "elle", "enne", "onne", "ière", "ante", "erie", "ade", "aison", "ine", "ie",
)  # fmt: skip
FEMININE_NOUNS = frozenset([
    "heure", "page", "minute", "seconde", "semaine", "personne", "femme", "fille", "fois",
    "place", "maison", "tonne", "pièce", "chambre", "table", "étoile", "voix", "ville", "nuit",
    "histoire", "chaise", "pomme", "chose", "réponse", "lettre", "ligne", "carte", "porte",
    "fenêtre", "équipe", "victoire", "défaite", "tasse", "cuillère", "fleur", "langue", "île",
    "école", "classe", "entreprise", "usine", "banque", "commune", "roue", "photo", "vidéo",
    "chanson", "voiture", "main", "part", "route", "rue", "fête", "tête", "tranche", "étape",
    "étude", "œuvre", "feuille", "boîte", "liste", "marche", "tâche", "image", "plage", "cage",
    "règle", "sœur", "mère", "dent", "fin", "fiche", "clé", "goutte", "gousse", "course",
    "source", "couche", "branche", "vache", "poule", "balle", "salle", "étagère", "arme", "bombe",
    "tombe", "tour", "candidate", "élève", "orange", "poire", "phrase", "côte", "note", "piste",
    "plante", "bouteille", "bougie", "vie", "pluie", "offre", "valise",
])  # fmt: skip
NOT_FEMININE = frozenset([
    "musée", "lycée", "trophée", "mille", "domaine", "silence", "incendie", "génie", "parapluie",
    "grade", "stade", "comité", "magazine", "murmure", "camion", "million", "avion", "capitaine",
    "bouquetin", "moine", "modèle", "squelette", "foie", "sosie", "messie", "cimetière",
    "derrière", "arrière",
])  # fmt: skip
