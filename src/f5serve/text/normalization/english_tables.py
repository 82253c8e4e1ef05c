"""Tables: English words for signs, units, currencies and abbreviations; `spoken` applies them."""

from __future__ import annotations

# Letters that decompose into no ASCII letter and still have an English reading.
LETTERS = {
    "æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ł": "l", "đ": "d", "ð": "th", "þ": "th",
    "ħ": "h", "ı": "i", "ĸ": "k", "ŋ": "ng", "ŧ": "t", "ƒ": "f", "ə": "e",
    "Æ": "Ae", "Œ": "Oe", "Ø": "O", "ẞ": "SS", "Ł": "L", "Đ": "D", "Ð": "Th", "Þ": "Th",
    "Ħ": "H", "Ŋ": "Ng", "Ŧ": "T", "Ƒ": "F", "Ə": "E",
    "ʼ": "'", "ʻ": "'", "ʹ": "'", "μ": "micro",
}  # fmt: skip

SIGNS = {
    "&": "and", "@": "at", "%": "percent", "‰": "per mille", "+": "plus", "=": "equals",
    "#": "hash", "<": "less than", ">": "greater than", "≤": "at most", "≥": "at least",
    "±": "plus or minus", "×": "times", "÷": "divided by", "√": "square root of",
    "≈": "about", "≠": "is not", "∞": "infinity", "°": "degrees", "§": "section",
    "©": "copyright", "®": "registered", "$": "dollars", "£": "pounds", "€": "euros", "¥": "yen",
    "₹": "rupees", "₩": "won", "₽": "rubles", "₺": "lira", "₪": "shekels", "₴": "hryvnias",
    "¢": "cents", "/": "slash", "\\": "backslash", "→": "to", "⇒": "to",
    "−": "minus", "²": "squared", "³": "cubed", "№": "number",
}  # fmt: skip

# What stands for a mark of punctuation that the speaker knows; "" joins, " " parts.
MARKS = {
    "‘": "'", "’": "'", "´": "'", "`": "'", "′": "'",
    '"': " ", "“": " ", "”": " ", "„": " ", "«": " ", "»": " ", "″": " ", "¿": " ", "¡": " ",
    "[": "(", "]": ")", "{": "(", "}": ")", "‒": "–", "―": "—", "‐": "-", "‑": "-",
    "。": ". ", "、": ", ", "·": ", ", "•": ", ", "\u00ad": "", "\u200b": "", "\u2060": "",
}  # fmt: skip

CURRENCIES = {
    "$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent"),
    "¥": ("yen", "sen"), "₹": ("rupee", "paisa"), "₩": ("won", "jeon"), "₽": ("ruble", "kopek"),
    "₺": ("lira", "kurus"), "₪": ("shekel", "agora"), "₴": ("hryvnia", "kopiyka"),
}  # fmt: skip

SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion",
    "t": "trillion", "tn": "trillion", "thousand": "thousand", "million": "million",
    "billion": "billion", "trillion": "trillion",
}  # fmt: skip

UNITS = {
    "km/h": "kilometer per hour", "m/s": "meter per second", "mph": "mile per hour",
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "ft": "foot", "mi": "mile",
    "kg": "kilogram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "ml": "milliliter", "ms": "millisecond", "sec": "second", "min": "minute",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "kW": "kilowatt", "kWh": "kilowatt hour", "°C": "degree Celsius", "°F": "degree Fahrenheit",
    "°": "degree",
}  # fmt: skip

# Too short to be a unit unless it touches the number: "5 m" may be anything, "5m" is meters.
ATTACHED_UNITS = {
    "m": "meter", "g": "gram", "l": "liter", "s": "second", "h": "hour", "W": "watt", "V": "volt",
}  # fmt: skip

IRREGULAR_PLURALS = {
    "yen": "yen", "sen": "sen", "won": "won", "jeon": "jeon", "agora": "agorot", "penny": "pence",
    "paisa": "paise", "foot": "feet",
    "hertz": "hertz", "kilohertz": "kilohertz", "megahertz": "megahertz", "gigahertz": "gigahertz",
    "half": "halves",
}  # fmt: skip

ABBREVIATIONS = {
    "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "Prof.": "Professor", "vs.": "versus",
    "e.g.": "for example", "i.e.": "that is", "approx.": "approximately",
}  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
