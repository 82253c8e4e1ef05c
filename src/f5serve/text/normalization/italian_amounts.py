"""Tables: money and units of Italian."""

from __future__ import annotations

from f5serve.text.normalization.european_language import Currency, Measures, Money
from f5serve.text.normalization.european_numbers import Noun

_HOUR = Noun("ora", "ore", "f")
_MINUTE = Noun("minuto", "minuti")
_SECOND = Noun("secondo", "secondi")
_CENT = Noun("centesimo", "centesimi")
_MILIONE = Noun("milione", "milioni")
_MILIARDO = Noun("miliardo", "miliardi")
_MILA = Noun("mila", "mila", "")

MONEY = Money(
    currencies=(
        Currency(("€", "EUR"), Noun("euro", "euro"), _CENT, ("euro", "Euro")),
        Currency(("US$", "USD", "$"), Noun("dollaro", "dollari"), _CENT, ("dollari",)),
        Currency(
            ("£", "GBP"), Noun("sterlina", "sterline", "f"), Noun("penny", "pence"), ("sterline",)
        ),
        Currency(("¥", "JPY"), Noun("yen", "yen"), None, ("yen",)),
        Currency(("CHF",), Noun("franco svizzero", "franchi svizzeri"), _CENT),
        Currency(("₿", "BTC"), Noun("bitcoin", "bitcoin")),
        Currency((), Noun("lira", "lire", "f"), None, ("lire",)),
        Currency((), Noun("franco", "franchi"), _CENT, ("franchi",)),
    ),
    magnitudes={
        "mln": _MILIONE, "mln.": _MILIONE, "milioni": _MILIONE, "milione": _MILIONE,
        "M": _MILIONE, "mld": _MILIARDO, "mld.": _MILIARDO, "miliardi": _MILIARDO,
        "miliardo": _MILIARDO, "mila": _MILA, "K": _MILA, "k": _MILA,
    },
    join="e",
    says_subunit=True,
    of="di",
)  # fmt: skip

_UNITS = {
    "km": ("chilometro", "chilometri"), "m": ("metro", "metri"), "dm": ("decimetro", "decimetri"),
    "cm": ("centimetro", "centimetri"), "mm": ("millimetro", "millimetri"),
    "µm": ("micrometro", "micrometri"), "nm": ("nanometro", "nanometri"),
    "kg": ("chilogrammo", "chilogrammi"), "g": ("grammo", "grammi"), "gr": ("grammo", "grammi"),
    "mg": ("milligrammo", "milligrammi"), "µg": ("microgrammo", "microgrammi"),
    "q": ("quintale", "quintali"), "t": ("tonnellata", "tonnellate", "f"),
    "l": ("litro", "litri"), "L": ("litro", "litri"), "cl": ("centilitro", "centilitri"),
    "dl": ("decilitro", "decilitri"), "dL": ("decilitro", "decilitri"),
    "ml": ("millilitro", "millilitri"), "mL": ("millilitro", "millilitri"),
    "hl": ("ettolitro", "ettolitri"), "ha": ("ettaro", "ettari"),
    "h": ("ora", "ore", "f"), "min": ("minuto", "minuti"), "min.": ("minuto", "minuti"),
    "s": ("secondo", "secondi"), "sec": ("secondo", "secondi"), "sec.": ("secondo", "secondi"),
    "ms": ("millisecondo", "millisecondi"), "W": ("watt", "watt"), "kW": ("chilowatt", "chilowatt"),
    "MW": ("megawatt", "megawatt"), "GW": ("gigawatt", "gigawatt"),
    "Wh": ("wattora", "wattora"), "kWh": ("chilowattora", "chilowattora"),
    "MWh": ("megawattora", "megawattora"), "V": ("volt", "volt"),
    "mA": ("milliampere", "milliampere"), "mAh": ("milliamperora", "milliamperora"),
    "Hz": ("hertz", "hertz"), "kHz": ("chilohertz", "chilohertz"),
    "MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"),
    "dB": ("decibel", "decibel"), "Pa": ("pascal", "pascal"), "hPa": ("ettopascal", "ettopascal"),
    "kJ": ("chilojoule", "chilojoule"),
    "kcal": ("chilocaloria", "chilocalorie", "f"), "cal": ("caloria", "calorie", "f"),
    "CV": ("cavallo vapore", "cavalli vapore"),
    "kB": ("chilobyte", "chilobyte"), "KB": ("chilobyte", "chilobyte"),
    "MB": ("megabyte", "megabyte"), "GB": ("gigabyte", "gigabyte"), "TB": ("terabyte", "terabyte"),
    "Mbps": ("megabit al secondo", "megabit al secondo"), "mol": ("mole", "moli", "f"),
    "mmol": ("millimole", "millimoli", "f"), "m²": ("metro quadrato", "metri quadrati"),
    "mq": ("metro quadrato", "metri quadrati"), "m2": ("metro quadrato", "metri quadrati"),
    "km²": ("chilometro quadrato", "chilometri quadrati"),
    "kmq": ("chilometro quadrato", "chilometri quadrati"),
    "cm²": ("centimetro quadrato", "centimetri quadrati"), "m³": ("metro cubo", "metri cubi"),
    "mc": ("metro cubo", "metri cubi"), "m3": ("metro cubo", "metri cubi"),
    "cm³": ("centimetro cubo", "centimetri cubi"), "cc": ("centimetro cubo", "centimetri cubi"),
    "km/h": ("chilometro all'ora", "chilometri all'ora"),
    "m/s": ("metro al secondo", "metri al secondo"),
    "m/s²": ("metro al secondo quadrato", "metri al secondo quadrato"), "px": ("pixel", "pixel"),
}  # fmt: skip

MEASURES = Measures(
    units={unit: Noun(*noun) for unit, noun in _UNITS.items()},
    percents={"%": Noun("per cento", "", ""), "‰": Noun("per mille", "", "")},
    temperatures={
        "°C": Noun("grado Celsius", "gradi Celsius"),
        "ºC": Noun("grado Celsius", "gradi Celsius"),
        "℃": Noun("grado Celsius", "gradi Celsius"),
        "°F": Noun("grado Fahrenheit", "gradi Fahrenheit"),
        "ºF": Noun("grado Fahrenheit", "gradi Fahrenheit"),
    },
    per="per",
    hour=_HOUR,
    minute=_MINUTE,
    second=_SECOND,
    duration_join="e",
)
