"""Tables: money and units of Portuguese."""

from __future__ import annotations

from f5serve.text.normalization.european_language import Currency, Measures, Money
from f5serve.text.normalization.european_numbers import Noun

_HOUR = Noun("hora", "horas", "f")
_MINUTE = Noun("minuto", "minutos")
_SECOND = Noun("segundo", "segundos")
_CENTAVO = Noun("centavo", "centavos")
_CENTIMO = Noun("cêntimo", "cêntimos")
_MILHAO = Noun("milhão", "milhões")
_BILHAO = Noun("bilhão", "bilhões")
_TRILHAO = Noun("trilhão", "trilhões")
_MIL = Noun("mil", "mil", "")

MONEY = Money(
    currencies=(
        Currency(("R$", "BRL"), Noun("real", "reais"), _CENTAVO, ("reais", "real")),
        Currency(("€", "EUR"), Noun("euro", "euros"), _CENTIMO, ("euros", "euro")),
        Currency(("US$", "U$", "USD", "$"), Noun("dólar", "dólares"), _CENTAVO, ("dólares",)),
        Currency(("£", "GBP"), Noun("libra", "libras", "f"), Noun("pêni", "pence"), ("libras",)),
        Currency(("¥", "JPY"), Noun("iene", "ienes"), None, ("ienes",)),
        Currency(("CHF",), Noun("franco suíço", "francos suíços"), _CENTIMO),
        Currency(("Kz", "AOA"), Noun("kwanza", "kwanzas"), _CENTIMO),
        Currency(("MZN",), Noun("metical", "meticais"), _CENTAVO),
        Currency(("₿", "BTC"), Noun("bitcoin", "bitcoins")),
    ),
    magnitudes={
        "milhões": _MILHAO, "milhão": _MILHAO, "mi": _MILHAO, "mi.": _MILHAO, "M": _MILHAO,
        "bilhões": _BILHAO, "bilhão": _BILHAO, "bi": _BILHAO, "bi.": _BILHAO,
        "biliões": Noun("bilião", "biliões"), "trilhões": _TRILHAO, "trilhão": _TRILHAO,
        "tri": _TRILHAO, "mil milhões": Noun("mil milhões", "mil milhões", ""),
        "mil": _MIL, "K": _MIL, "k": _MIL,
    },
    join="e",
    says_subunit=True,
    of="de",
)  # fmt: skip

_UNITS = {
    "km": ("quilômetro", "quilômetros"), "m": ("metro", "metros"),
    "dm": ("decímetro", "decímetros"),
    "cm": ("centímetro", "centímetros"), "mm": ("milímetro", "milímetros"),
    "µm": ("micrômetro", "micrômetros"), "nm": ("nanômetro", "nanômetros"),
    "kg": ("quilograma", "quilogramas"), "Kg": ("quilograma", "quilogramas"),
    "g": ("grama", "gramas"), "mg": ("miligrama", "miligramas"),
    "µg": ("micrograma", "microgramas"), "t": ("tonelada", "toneladas", "f"),
    "l": ("litro", "litros"), "L": ("litro", "litros"), "cl": ("centilitro", "centilitros"),
    "dl": ("decilitro", "decilitros"), "dL": ("decilitro", "decilitros"),
    "ml": ("mililitro", "mililitros"), "mL": ("mililitro", "mililitros"),
    "hl": ("hectolitro", "hectolitros"), "ha": ("hectare", "hectares"),
    "min": ("minuto", "minutos"), "s": ("segundo", "segundos"), "seg": ("segundo", "segundos"),
    "ms": ("milissegundo", "milissegundos"), "W": ("watt", "watts"),
    "kW": ("quilowatt", "quilowatts"), "MW": ("megawatt", "megawatts"),
    "GW": ("gigawatt", "gigawatts"), "Wh": ("watt-hora", "watts-hora"),
    "kWh": ("quilowatt-hora", "quilowatts-hora"), "MWh": ("megawatt-hora", "megawatts-hora"),
    "V": ("volt", "volts"), "mA": ("miliampère", "miliampères"),
    "mAh": ("miliampère-hora", "miliampères-hora"), "Hz": ("hertz", "hertz"),
    "kHz": ("quilohertz", "quilohertz"), "MHz": ("mega-hertz", "mega-hertz"),
    "GHz": ("giga-hertz", "giga-hertz"), "dB": ("decibel", "decibéis"),
    "Pa": ("pascal", "pascals"), "hPa": ("hectopascal", "hectopascals"),
    "kJ": ("quilojoule", "quilojoules"),
    "kcal": ("quilocaloria", "quilocalorias", "f"), "cal": ("caloria", "calorias", "f"),
    "cv": ("cavalo-vapor", "cavalos-vapor"),
    "kB": ("quilobyte", "quilobytes"), "KB": ("quilobyte", "quilobytes"),
    "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"), "Mbps": ("megabit por segundo", "megabits por segundo"),
    "mol": ("mol", "mols"), "mmol": ("milimol", "milimols"),
    "m²": ("metro quadrado", "metros quadrados"), "m2": ("metro quadrado", "metros quadrados"),
    "km²": ("quilômetro quadrado", "quilômetros quadrados"),
    "km2": ("quilômetro quadrado", "quilômetros quadrados"),
    "cm²": ("centímetro quadrado", "centímetros quadrados"),
    "m³": ("metro cúbico", "metros cúbicos"), "m3": ("metro cúbico", "metros cúbicos"),
    "cm³": ("centímetro cúbico", "centímetros cúbicos"),
    "km/h": ("quilômetro por hora", "quilômetros por hora"),
    "rpm": ("rotação por minuto", "rotações por minuto", "f"), "px": ("pixel", "pixels"),
    "pol.": ("polegada", "polegadas", "f"), "h": ("hora", "horas", "f"),
    "hab.": ("habitante", "habitantes"),
}  # fmt: skip

MEASURES = Measures(
    units={unit: Noun(*noun) for unit, noun in _UNITS.items()},
    percents={"%": Noun("por cento", "", ""), "‰": Noun("por mil", "", "")},
    temperatures={
        "°C": Noun("grau Celsius", "graus Celsius"),
        "ºC": Noun("grau Celsius", "graus Celsius"),
        "℃": Noun("grau Celsius", "graus Celsius"),
        "°F": Noun("grau Fahrenheit", "graus Fahrenheit"),
        "ºF": Noun("grau Fahrenheit", "graus Fahrenheit"),
    },
    per="por",
    hour=_HOUR,
    minute=_MINUTE,
    second=_SECOND,
    duration_join="e",
)
