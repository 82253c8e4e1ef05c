"""Words and patterns of Japanese: numbers, units, currencies."""

from __future__ import annotations

from functools import lru_cache

from f5serve.text.normalization.cjk import Units, is_row, plain

DIGITS = ("ゼロ", *"一二三四五六七八九")

_UNITS = {
    "nm": "ナノメートル", "μm": "マイクロメートル", "mm": "ミリメートル", "cm": "センチメートル",
    "dm": "デシメートル", "m": "メートル", "km": "キロメートル", "mm2": "平方ミリメートル",
    "cm2": "平方センチメートル", "m2": "平方メートル", "km2": "平方キロメートル",
    "cm3": "立方センチメートル", "m3": "立方メートル", "μg": "マイクログラム", "mg": "ミリグラム",
    "g": "グラム", "kg": "キログラム", "t": "トン", "ml": "ミリリットル", "mL": "ミリリットル",
    "L": "リットル", "cc": "シーシー", "dl": "デシリットル", "dL": "デシリットル",
    "kl": "キロリットル", "mol": "モル", "mmol": "ミリモル", "ms": "ミリ秒", "s": "秒", "min": "分",
    "h": "時間", "Hz": "ヘルツ", "kHz": "キロヘルツ", "MHz": "メガヘルツ", "GHz": "ギガヘルツ",
    "dB": "デシベル", "V": "ボルト", "kV": "キロボルト", "mV": "ミリボルト", "W": "ワット",
    "kW": "キロワット", "MW": "メガワット", "kWh": "キロワット時", "mA": "ミリアンペア",
    "mAh": "ミリアンペア時", "Pa": "パスカル", "kPa": "キロパスカル", "MPa": "メガパスカル",
    "hPa": "ヘクトパスカル", "mmHg": "ミリメートル水銀柱", "J": "ジュール", "kJ": "キロジュール",
    "cal": "カロリー", "kcal": "キロカロリー", "ha": "ヘクタール", "rpm": "回転毎分",
    "fps": "フレーム毎秒", "Mbps": "メガビーピーエス", "Gbps": "ギガビーピーエス",
    "km/h": "キロメートル毎時", "m/s": "メートル毎秒",
}  # fmt: skip
UNITS = Units(_UNITS, lambda above, below: f"{above}毎{below}")

CURRENCIES = {
    "¥": "円", "￥": "円", "$": "ドル", "＄": "ドル", "€": "ユーロ", "£": "ポンド", "￡": "ポンド",
    "₩": "ウォン", "₽": "ルーブル", "₹": "ルピー", "฿": "バーツ", "₫": "ドン",
    "US$": "米ドル", "HK$": "香港ドル", "NT$": "台湾ドル",
}  # fmt: skip

TELEPHONE = (
    r"(?<![\d.-])(?:[+＋]81[-\s]?\d{1,4}[-\s]\d{1,4}[-\s]\d{4}"
    r"|(?:\(0\d{1,4}\)|0\d{1,4}-)\s?\d{1,4}-\d{3,4}|0[5789]0\d{8})(?![\d-]|\.\d)"
)
POSTCODE = r"〒\s?\d{3}-?\d{4}(?!\d)"

_SCALES = ("", "十", "百", "千")


@lru_cache(maxsize=4096)
def cardinal(text: str) -> str:
    """A whole number: "1005" -> 千五."""
    digits = plain(text)
    if is_row(digits):
        return read_digits(digits)
    return _words(int(digits)) or "ゼロ"


def _words(value: int) -> str:
    words = ""
    for scale, name in ((10**12, "兆"), (10**8, "億"), (10**4, "万")):
        if value >= scale:
            head, value = divmod(value, scale)
            group = _below_ten_thousand(head)
            words += ("一" + group if group.startswith("千") else group) + name
    return words + _below_ten_thousand(value)


def _below_ten_thousand(value: int) -> str:
    words = ""
    for place in (3, 2, 1, 0):
        digit = value // 10**place % 10
        if digit:
            words += ("" if digit == 1 and place else DIGITS[digit]) + _SCALES[place]
    return words


def read_digits(text: str) -> str:
    """Each digit by its name."""
    return "".join(DIGITS[int(digit)] for digit in plain(text) if digit.isdecimal())


@lru_cache(maxsize=4096)
def number(text: str) -> str:
    """A number with or without a decimal point: "3.05" -> 三点ゼロ五."""
    whole, _, decimals = plain(text).partition(".")
    words = cardinal(whole)
    return f"{words}点{read_digits(decimals)}" if decimals else words


def signed(sign: str | None, text: str) -> str:
    """A number with its sign."""
    names = {"+": "プラス", "-": "マイナス", "±": "プラスマイナス"}
    return names.get(plain(sign or ""), "") + number(text)


def read_row(text: str) -> str:
    """A telephone number or a postcode, with の where it has a hyphen."""
    groups = [group for group in map(read_digits, text.replace(" ", "-").split("-")) if group]
    return "の".join(groups)
