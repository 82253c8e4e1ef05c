"""Tables: money and units of Spanish."""

from __future__ import annotations

from f5serve.text.normalization.european_language import Currency, Measures, Money
from f5serve.text.normalization.european_numbers import Noun

_HOUR = Noun("hora", "horas", "f")
_MINUTE = Noun("minuto", "minutos")
_SECOND = Noun("segundo", "segundos")
_CENTAVO = Noun("centavo", "centavos")
_CENTIMO = Noun("céntimo", "céntimos")
_MILLON = Noun("millón", "millones")

MONEY = Money(
    currencies=(
        Currency(("€", "EUR"), Noun("euro", "euros"), _CENTIMO, ("euros", "euro")),
        Currency(("US$", "U$S", "USD", "$"), Noun("dólar", "dólares"), _CENTAVO, ("dólares",)),
        Currency(("MXN", "MX$"), Noun("peso mexicano", "pesos mexicanos"), _CENTAVO),
        Currency(("ARS",), Noun("peso argentino", "pesos argentinos"), _CENTAVO),
        Currency(("COP",), Noun("peso colombiano", "pesos colombianos"), _CENTAVO),
        Currency(("CLP",), Noun("peso chileno", "pesos chilenos")),
        Currency(("£", "GBP"), Noun("libra", "libras", "f"), Noun("penique", "peniques")),
        Currency(("¥", "JPY"), Noun("yen", "yenes"), None, ("yenes",)),
        Currency(("S/", "PEN"), Noun("sol", "soles"), _CENTIMO, ("soles",)),
        Currency(("CHF",), Noun("franco suizo", "francos suizos"), _CENTIMO),
        Currency(("₿", "BTC"), Noun("bitcóin", "bitcoines")),
        Currency((), Noun("peso", "pesos"), _CENTAVO, ("pesos",)),
    ),
    magnitudes={
        "millones": _MILLON, "millón": _MILLON, "mill.": _MILLON, "M": _MILLON, "mln": _MILLON,
        "MM": _MILLON, "mil millones": Noun("mil millones", "mil millones", ""),
        "billones": Noun("billón", "billones"), "billón": Noun("billón", "billones"),
        "mil": Noun("mil", "mil", ""), "K": Noun("mil", "mil", ""), "k": Noun("mil", "mil", ""),
    },
    join="con",
    says_subunit=True,
    of="de",
)  # fmt: skip

_UNITS = {
    "km": ("kilómetro", "kilómetros", "m"), "m": ("metro", "metros", "m"),
    "dm": ("decímetro", "decímetros", "m"), "cm": ("centímetro", "centímetros", "m"),
    "mm": ("milímetro", "milímetros", "m"), "µm": ("micrómetro", "micrómetros", "m"),
    "nm": ("nanómetro", "nanómetros", "m"), "kg": ("kilogramo", "kilogramos", "m"),
    "g": ("gramo", "gramos", "m"), "mg": ("miligramo", "miligramos", "m"),
    "µg": ("microgramo", "microgramos", "m"), "t": ("tonelada", "toneladas", "f"),
    "l": ("litro", "litros", "m"), "L": ("litro", "litros", "m"),
    "cl": ("centilitro", "centilitros", "m"),
    "dl": ("decilitro", "decilitros", "m"), "dL": ("decilitro", "decilitros", "m"),
    "ml": ("mililitro", "mililitros", "m"), "mL": ("mililitro", "mililitros", "m"),
    "hl": ("hectolitro", "hectolitros", "m"), "ha": ("hectárea", "hectáreas", "f"),
    "h": ("hora", "horas", "f"), "min": ("minuto", "minutos", "m"),
    "s": ("segundo", "segundos", "m"),
    "seg": ("segundo", "segundos", "m"), "ms": ("milisegundo", "milisegundos", "m"),
    "W": ("vatio", "vatios", "m"), "kW": ("kilovatio", "kilovatios", "m"),
    "MW": ("megavatio", "megavatios", "m"), "GW": ("gigavatio", "gigavatios", "m"),
    "Wh": ("vatio hora", "vatios hora", "m"), "kWh": ("kilovatio hora", "kilovatios hora", "m"),
    "MWh": ("megavatio hora", "megavatios hora", "m"), "V": ("voltio", "voltios", "m"),
    "mA": ("miliamperio", "miliamperios", "m"),
    "mAh": ("miliamperio hora", "miliamperios hora", "m"), "Hz": ("hercio", "hercios", "m"),
    "kHz": ("kilohercio", "kilohercios", "m"), "MHz": ("megahercio", "megahercios", "m"),
    "GHz": ("gigahercio", "gigahercios", "m"), "dB": ("decibelio", "decibelios", "m"),
    "Pa": ("pascal", "pascales", "m"), "hPa": ("hectopascal", "hectopascales", "m"),
    "kJ": ("kilojulio", "kilojulios", "m"),
    "kcal": ("kilocaloría", "kilocalorías", "f"), "cal": ("caloría", "calorías", "f"),
    "kB": ("kilobyte", "kilobytes", "m"),
    "KB": ("kilobyte", "kilobytes", "m"),
    "MB": ("megabyte", "megabytes", "m"), "GB": ("gigabyte", "gigabytes", "m"),
    "TB": ("terabyte", "terabytes", "m"),
    "Mbps": ("megabit por segundo", "megabits por segundo", "m"),
    "mol": ("mol", "moles", "m"), "mmol": ("milimol", "milimoles", "m"),
    "m²": ("metro cuadrado", "metros cuadrados", "m"),
    "m2": ("metro cuadrado", "metros cuadrados", "m"),
    "km²": ("kilómetro cuadrado", "kilómetros cuadrados", "m"),
    "km2": ("kilómetro cuadrado", "kilómetros cuadrados", "m"),
    "cm²": ("centímetro cuadrado", "centímetros cuadrados", "m"),
    "m³": ("metro cúbico", "metros cúbicos", "m"), "m3": ("metro cúbico", "metros cúbicos", "m"),
    "cm³": ("centímetro cúbico", "centímetros cúbicos", "m"),
    "kg/m³": ("kilogramo por metro cúbico", "kilogramos por metro cúbico", "m"),
    "rpm": ("revolución por minuto", "revoluciones por minuto", "f"),
    "hab.": ("habitante", "habitantes", "m"), "px": ("píxel", "píxeles", "m"),
    "pulg.": ("pulgada", "pulgadas", "f"),
}  # fmt: skip

MEASURES = Measures(
    units={unit: Noun(*noun) for unit, noun in _UNITS.items()},
    percents={"%": Noun("por ciento", "", ""), "‰": Noun("por mil", "", "")},
    temperatures={
        "°C": Noun("grado Celsius", "grados Celsius"),
        "ºC": Noun("grado Celsius", "grados Celsius"),
        "℃": Noun("grado Celsius", "grados Celsius"),
        "°F": Noun("grado Fahrenheit", "grados Fahrenheit"),
        "ºF": Noun("grado Fahrenheit", "grados Fahrenheit"),
    },
    per="por",
    hour=_HOUR,
    minute=_MINUTE,
    second=_SECOND,
)
