"""Units of measure in English: their table, and the rules for amounts of them."""

from __future__ import annotations

import re

from f5serve.text import numbers
from f5serve.text.normalization.english_patterns import (
    AFTER,
    DASH,
    INT,
    NUMBER,
    Table,
    alternatives,
    bare,
    closed,
    counted,
)

UNITS = {
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer",
    "µm": "micrometer", "μm": "micrometer", "ft": "foot", "mi": "mile", "yd": "yard",
    "yds": "yard", "km²": "square kilometer", "m²": "square meter", "cm²": "square centimeter",
    "mm²": "square millimeter", "ft²": "square foot", "m³": "cubic meter",
    "cm³": "cubic centimeter", "km^2": "square kilometer", "m^2": "square meter",
    "m^3": "cubic meter", "sq ft": "square foot", "sq. ft": "square foot",
    "sq mi": "square mile", "sq. mi": "square mile", "sq m": "square meter",
    "sq km": "square kilometer", "cu ft": "cubic foot", "ha": "hectare",
    "kg": "kilogram", "mg": "milligram", "µg": "microgram", "μg": "microgram",
    "mcg": "microgram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "ml": "milliliter", "mL": "milliliter", "dL": "deciliter", "dl": "deciliter",
    "cl": "centiliter",
    "gal": "gallon", "qt": "quart", "tsp": "teaspoon", "tbsp": "tablespoon", "fl oz": "fluid ounce",
    "ms": "millisecond", "µs": "microsecond", "μs": "microsecond", "ns": "nanosecond",
    "sec": "second", "secs": "second", "min": "minute", "mins": "minute", "hr": "hour",
    "hrs": "hour", "yr": "year", "yrs": "year", "wk": "week", "wks": "week", "mos": "month",
    "MPH": "mile per hour", "KM": "kilometer", "KG": "kilogram", "CM": "centimeter",
    "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "rpm": "revolution per minute", "bpm": "beat per minute", "fps": "frame per second",
    "mpg": "mile per gallon", "dpi": "dot per inch", "ppm": "part per million",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "THz": "terahertz",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "PB": "petabyte", "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte",
    "kbps": "kilobit per second", "Kbps": "kilobit per second", "Mbps": "megabit per second",
    "Gbps": "gigabit per second", "Mbit": "megabit", "Gbit": "gigabit",
    "mW": "milliwatt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "Wh": "watt hour",
    "kWh": "kilowatt hour", "MWh": "megawatt hour", "mAh": "milliampere hour", "mA": "milliampere",
    "mV": "millivolt", "kV": "kilovolt", "kΩ": "kilo-ohm", "Ω": "ohm", "hp": "horsepower",
    "kJ": "kilojoule", "kcal": "kilocalorie", "cal": "calorie", "eV": "electron volt",
    "Pa": "pascal", "kPa": "kilopascal", "hPa": "hectopascal", "MPa": "megapascal",
    "mbar": "millibar", "psi": "psi", "dB": "decibel", "mol": "mole", "lx": "lux",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "℃": "degree Celsius",
    "℉": "degree Fahrenheit", "ºC": "degree Celsius", "ºF": "degree Fahrenheit", "°": "degree",
}  # fmt: skip

ATTACHED_UNITS = {
    "m": "meter", "g": "gram", "l": "liter", "s": "second", "h": "hour", "W": "watt", "V": "volt",
    "L": "liter", "J": "joule", "N": "newton",
}  # fmt: skip
"""Too short to be a unit unless it touches the number: "5 m" may be anything, "5m" is meters."""

_PER = {
    **{name: unit for name, unit in UNITS.items() if " per " not in unit}, **ATTACHED_UNITS,
    "s²": "second squared", "s^2": "second squared", "day": "day", "week": "week",
    "month": "month", "year": "year", "hour": "hour", "minute": "minute", "second": "second",
    "mo": "month", "person": "person", "night": "night", "piece": "piece", "unit": "unit",
}  # fmt: skip
_FEW = {"sec", "min", "hr", "hrs", "mins", "secs", "yr", "yrs", "wk", "wks", "ft", "mi", "yd"} | {
    "lb", "lbs", "oz", "gal", "qt", "tsp", "tbsp", "sq ft", "sq. ft", "sq mi", "sq. mi", "mos"
}  # fmt: skip
"""Written with a full stop, too."""

_MEASURED = r"(?=[,;)]|\s(?:of|tall|long|wide|deep|high|away|above|below|per|dash|sprint|race)\b)"


def units() -> Table:
    """Rules for amounts with units; temperatures are of a kind of their own."""
    per = rf"(?:/(?P<per>{alternatives(_PER)}))?"
    last = rf"(?![A-Za-z/²³^])(?P<dot>(?<=[a-z])\.(?=[\s-][a-z0-9]|,))?(?P<to>{DASH}(?=\d))?"
    low = rf"(?P<low>{NUMBER})(?:\s?{DASH}\s?(?P<high>{AFTER}))?"
    degrees = "[°º][CF]|[℃℉]|°"
    named = "|".join(
        part for part in alternatives(UNITS).split("|") if not re.fullmatch(r"[°º][CF]?|[℃℉]", part)
    )
    return [
        ("measure", rf"({INT})[\"”″]\s?[x×]\s?(\d++)[\"”″]", _say_size),
        ("measure", rf"({INT})\s?ft\.?\s(\d{{1,2}})\s?in\b(?!\s\w)", _say_feet),
        (
            "measure",
            rf"\b(half|halves|thirds?|quarters?|eighths?)\s(?P<unit>{named})(?![\w/])\.?",
            _say_part,
        ),
        ("measure", r"([3-8])(?<![\w.,'’]\d)['’′](\d|1[01])(?![\w'’\"”″])", _say_feet),
        ("measure", rf"({INT})['’′]\s?(\d{{1,2}})(?:[\"”″]|['’′]{{2}})", _say_feet),
        (
            "measure",
            rf"({NUMBER})(?:\s?″|\"(?=\s(?:TV|monitor|screen|display|pipe)\b))",
            _say_inches,
        ),
        ("measure", rf"({INT})\s?h\s?(\d{{1,2}})\s?m(?:in)?\b", _say_hours),
        ("percent", rf"(?<=%)\s?{DASH}\s?(?=\d)", lambda m: "to"),
        ("percent", rf"{low}\s?(?P<unit>[%‰])", _say_percent),
        ("temperature", rf"{low}\s?(?P<unit>{degrees})(?P<per>(?!))?{last}", _say_amount),
        ("measure", rf"{low}(?P<hyphen>-)?\s?(?P<unit>{named}){per}{last}", _say_amount),
        ("measure", rf"{low}(?P<unit>[{''.join(ATTACHED_UNITS)}]){per}{last}", _say_amount),
        ("measure", rf"{low}\s(?P<unit>[mgLl]){per}{_MEASURED}{last}", _say_amount),
        ("measure", rf"{low}\s(?P<unit>m)/(?P<per>s²|s\^2|s|min){last}", _say_amount),
        ("measure", rf"(?<=\d)/(?P<per>{alternatives(_PER)})(?![\w/])", _say_per),
    ]


def say_per(unit: str) -> str:
    """ "/kg" -> "per kilogram"; other words stay."""
    return f"per {_PER.get(unit, unit)}"


def _say_per(match: re.Match[str]) -> str:
    return say_per(match["per"])


def _say_feet(match: re.Match[str]) -> str:
    return f"{numbers.cardinal(match[1])} foot {numbers.cardinal(numbers.plain(match[2]))}"


def _say_part(match: re.Match[str]) -> str | None:
    """The unit behind a fraction: "one half teaspoon", "two and one half teaspoons"."""
    if match[0].endswith(".") and match["unit"] not in _FEW:
        return None
    before = match.string[max(0, match.start() - 20) : match.start()]
    unit = UNITS[match["unit"]]
    unit = counted(unit, "") if re.search(r"\band \w+ $", before) else unit
    return closed(match, f"{match[1]} {unit}")


def _say_size(match: re.Match[str]) -> str:
    sides = (f"{numbers.cardinal(side)} {counted('inch', side)}" for side in match.groups())
    return " by ".join(sides)


def _say_inches(match: re.Match[str]) -> str:
    return f"{numbers.decimal(bare(match[1]))} {counted('inch', match[1])}"


def _say_hours(match: re.Match[str]) -> str:
    hours, minutes = numbers.plain(match[1]), numbers.plain(match[2])
    return (
        f"{numbers.cardinal(hours)} {counted('hour', hours)} "
        f"{numbers.cardinal(minutes)} {counted('minute', minutes)}"
    )


def _say_percent(match: re.Match[str]) -> str:
    first = f"{numbers.decimal(bare(match['low']))} to " if match["high"] else ""
    unit = "percent" if match["unit"] == "%" else "per mille"
    return f"{first}{numbers.decimal(bare(match['high'] or match['low']))} {unit}"


def _say_amount(match: re.Match[str]) -> str | None:
    name = match["unit"]
    if match["dot"] and name not in _FEW:
        return None
    unit = UNITS.get(name) or ATTACHED_UNITS[name]
    last = bare(match["high"] or match["low"])
    first = f"{numbers.decimal(bare(match['low']))} to " if match["high"] else ""
    per = f" {say_per(match['per'])}" if match["per"] else ""
    to = " to" if match["to"] else ""
    many = unit if match.groupdict().get("hyphen") else counted(unit, last)
    return f"{first}{numbers.decimal(last)} {many}{per}{to}"
