"""Tables of English: letters and marks in ASCII, signs, currencies, months, irregular plurals."""

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
    "≈": "about", "≠": "is not", "∝": "is proportional to", "∞": "infinity", "°": "degrees",
    "§": "section", "©": "copyright", "®": "registered", "$": "dollars", "£": "pounds",
    "€": "euros", "¥": "yen", "₹": "rupees", "₩": "won", "₽": "rubles", "₺": "lira",
    "₪": "shekels", "₴": "hryvnias", "¢": "cents", "/": "slash", "\\": "backslash", "→": "to",
    "⇒": "to", "−": "minus", "²": "squared", "³": "cubed", "№": "number", "♯": "sharp",
    "♭": "flat",
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
    "US$": ("U.S dollar", "cent"), "CA$": ("Canadian dollar", "cent"), "¢": ("cent", ""),
    "C$": ("Canadian dollar", "cent"), "A$": ("Australian dollar", "cent"),
    "AU$": ("Australian dollar", "cent"), "NZ$": ("New Zealand dollar", "cent"),
    "HK$": ("Hong Kong dollar", "cent"), "S$": ("Singapore dollar", "cent"),
    "R$": ("Brazilian real", "centavo"),
    "₿": ("bitcoin", ""), "฿": ("baht", "satang"), "₫": ("dong", ""), "₱": ("peso", "centavo"),
    "₦": ("naira", "kobo"), "₵": ("cedi", "pesewa"),
}  # fmt: skip
"""Signs, and the words for one unit and for its hundredth."""

CURRENCY_CODES = {
    "USD": "US$", "EUR": "€", "GBP": "£", "JPY": "¥", "CAD": "C$", "AUD": "A$", "INR": "₹",
    "RUB": "₽", "TRY": "₺", "KRW": "₩", "ILS": "₪", "UAH": "₴", "NZD": "NZ$", "HKD": "HK$",
    "SGD": "S$", "BRL": "R$", "BTC": "₿", "THB": "฿", "VND": "₫", "PHP": "₱", "NGN": "₦",
}  # fmt: skip

SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion",
    "t": "trillion", "tn": "trillion", "thousand": "thousand", "million": "million",
    "billion": "billion", "trillion": "trillion",
}  # fmt: skip

IRREGULAR_PLURALS = {
    "yen": "yen", "sen": "sen", "won": "won", "jeon": "jeon", "agora": "agorot", "penny": "pence",
    "paisa": "paise", "baht": "baht", "satang": "satang", "dong": "dong", "naira": "naira",
    "Brazilian real": "Brazilian reais", "foot": "feet", "inch": "inches", "hertz": "hertz",
    "kilohertz": "kilohertz", "megahertz": "megahertz", "gigahertz": "gigahertz",
    "terahertz": "terahertz", "half": "halves", "horsepower": "horsepower", "psi": "psi",
    "degree Celsius": "degrees Celsius", "degree Fahrenheit": "degrees Fahrenheit",
    "siemens": "siemens", "lux": "lux", "stone": "stone",
}  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

WEEKDAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
    "Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip

STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California",
    "CO": "Colorado", "CT": "Connecticut", "DE": "Delaware", "DC": "D C", "FL": "Florida",
    "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana",
    "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine",
    "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York",
    "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma",
    "OR": "Oregon", "PA": "Pennsylvania", "PR": "Puerto Rico", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah",
    "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia",
    "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
"""Before a ZIP code; the reading of other places is left to the acronyms."""
