"""Words and patterns of Chinese: numbers, measure words, units, currencies, services."""

from __future__ import annotations

import re
from functools import lru_cache

from f5serve.text.normalization.cjk import Units, is_row, plain

DIGITS = "零一二三四五六七八九"
SPOKEN_ROW = "零幺二三四五六七八九"
"""Of telephone numbers, where 一 sounds too much like 七."""

_UNITS = {
    "nm": "纳米", "μm": "微米", "mm": "毫米", "cm": "厘米", "dm": "分米", "m": "米", "km": "公里",
    "mm2": "平方毫米", "cm2": "平方厘米", "m2": "平方米", "km2": "平方公里", "cm3": "立方厘米",
    "m3": "立方米", "μg": "微克", "mg": "毫克", "g": "克", "kg": "公斤", "t": "吨", "ml": "毫升",
    "mL": "毫升", "L": "升", "cc": "毫升", "dl": "分升", "dL": "分升", "kl": "千升", "mol": "摩尔",
    "mmol": "毫摩尔", "ms": "毫秒", "s": "秒", "min": "分钟", "h": "小时", "Hz": "赫兹",
    "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫", "dB": "分贝", "V": "伏", "kV": "千伏",
    "mV": "毫伏", "W": "瓦", "kW": "千瓦", "MW": "兆瓦", "kWh": "千瓦时", "mA": "毫安",
    "mAh": "毫安时", "Pa": "帕", "kPa": "千帕", "MPa": "兆帕", "hPa": "百帕",
    "mmHg": "毫米汞柱", "J": "焦", "kJ": "千焦", "cal": "卡", "kcal": "千卡", "ha": "公顷",
    "rpm": "转每分钟", "fps": "帧每秒",
    "Mbps": "兆比特每秒", "Gbps": "吉比特每秒",
}  # fmt: skip
UNITS = Units(_UNITS, lambda above, below: f"{above}每{below}")

CURRENCIES = {
    "¥": "元", "￥": "元", "$": "美元", "＄": "美元", "€": "欧元", "£": "英镑", "￡": "英镑",
    "₩": "韩元", "₽": "卢布", "₹": "卢比", "฿": "泰铢", "₫": "越南盾", "US$": "美元", "HK$": "港元",
    "NT$": "新台币",
}  # fmt: skip

MEASURE_WORDS = (
    "(?!年级|年級|手|号|號|楼|樓|月|日|元素)"
    "(?:[个個只隻条條本件张張位名人天年次遍趟回场場杯瓶碗盒包袋箱斤吨噸克米里尺寸升元块塊毛岁歲倍"
    "层層种種项項台臺辆輛部架艘支枝根颗顆粒片棵株朵头頭匹双雙对對套副家所座间間栋棟册冊页頁"
    "章节節句段行门門封幅笔筆样樣份口步者边邊国國周週晚夜点點秒分刻万萬亿億千滴串排股束"
    "餐顿頓声聲把扇盏盞群批届屆]"
    "|小时|小時|星期|公斤|公里|公尺|公分|平方|立方|厘米|毫米|英寸|英尺|英里|千克|加仑|美元|欧元|英镑|港元)"
)
"""What is counted with 两, not with 二."""

TO = r"(?:\s?[-–—~～〜∼－至到]\s?)"
"""Between the ends of a range."""

PER = (
    r"(?<=[元块塊次人个個件美度吨噸])/"
    r"(?=[天日月年人次时時分秒斤克吨噸米平个個件晚位张張套台瓶盒股度升节節亩畝]|小时|小時|公斤|千克|立方)"
)
TELEPHONE = (
    r"(?<![\d.-])(?:"
    r"(?:[+＋]?86[-\s]?)?1[3-9]\d(?:[-\s]?\d{4}){2}"
    r"|(?:\(0\d{1,3}\)|0\d{1,3}-)\s?\d{3,4}[-\s]?\d{4}"
    r"|[48]00-\d{3,4}-\d{3,4}"
    r"|[+＋]\d{1,3}(?:[-\s]\d{2,4}){1,3}[-\s]?\d{4}"
    r"|\d{3,4}-\d{4}-\d{4}"
    r")(?![\d-]|\.\d)"
)
SERVICES = r"(?:11[0249]|12[0-3]|999|100(?:00|10|86)|12(?:306|315|345|348|333|329)|9[56]\d{3})"
SERVICE_BEHIND_A_VERB = (
    rf"(?<=[打拨撥])(?:了|通|电话|電話)?{SERVICES}(?:[和或、/]{SERVICES})?"
    r"(?!\d|[.,]\d|[分次人个個元块塊折米])"
)
SERVICE_BEFORE_ITS_NAME = (
    rf"(?<!\d){SERVICES}"
    "(?=报警|報警|急救|火警|救护|救護|热线|熱線|客服|电话|電話|接警|指挥|网站)"
)
WON = (
    "获胜|獲勝|取胜|击败|擊敗|战胜|戰勝|领先|領先|落后|大胜|险胜|的比分|战平|告负|不敌|逆转|横扫|惜败"
    "|完胜|淘汰"
)
"""What comes behind a score."""

DURATION = re.compile("年(?:的?历史|的?歷史|之久)")
SINCE = re.compile("年(?:[来來间間]|前)")
"""What tells a number of years from a year; the second one for round numbers alone."""

ROW_OF_DIGITS = (
    r"(?:电话|電話|手机|手機|热线|熱線|传真|傳真|验证码|驗證碼|密码|密碼|邮编|郵編|邮政编码|尾号|尾號|号码|號碼"
    r"|房间号|账号|帳號|卡号|卡號|工号|学号|學號|代码|代碼|身份证|身份證|QQ|微信)"
    r"(?:号码|號碼|号|號)?(?:是|为|為|[:：])?\s?(?P<row>\d{3,18})(?=[Xx]?(?![\d.,/:%-]))"
)
MODEL_NAMES = (
    "神舟|天宫|天宮|嫦娥|长征|長征|东风|東風|歼|殲|运|運|轰|轟|直|玉兔|天问|天問|苏|蘇|米格"
)

_SCALES = ("", "十", "百", "千")
TRADITIONAL = re.compile(
    "[個們這來說對國會時學開關東車電話號書買賣錢場樂實產業點萬億兩條張議員萊齡漲氣佔參價還沒問從後過給讓"
    "幾嗎麼為與嘅喺咗哋冇啲睇嚟佢]"
)
"""Characters of traditional writing, and of Cantonese."""

TO_TRADITIONAL = str.maketrans(
    "两万亿点负减时钟摄华国约于块欧镑韩铢顿纳吨转帧赫兹兆卢汞顷号币",
    "兩萬億點負減時鐘攝華國約於塊歐鎊韓銖頓納噸轉幀赫茲兆盧汞頃號幣",
)


def read_digits(text: str, names: str = DIGITS) -> str:
    """Each digit by its name: "2024" -> 二零二四."""
    return "".join(names[int(digit)] for digit in plain(text) if digit.isdecimal())


@lru_cache(maxsize=4096)
def cardinal(text: str, is_count: bool = False) -> str:
    """A whole number: "1005" -> 一千零五.

    Args:
        text: digits, with commas if there are any.
        is_count: a measure word follows, so 2 is 两.
    """
    digits = plain(text)
    if is_row(digits):
        return read_digits(digits)
    value = int(digits)
    if value == 2 and is_count:
        return "两"
    words = _words(value) or "零"
    words = words.removeprefix("一") if words.startswith("一十") else words
    return "两" + words[1:] if words[:2] in ("二千", "二万", "二亿") else words


def _words(value: int) -> str:
    for scale, name in ((10**8, "亿"), (10**4, "万")):
        if value >= scale:
            head, tail = divmod(value, scale)
            zero = "零" if 0 < tail < scale // 10 else ""
            return _words(head) + name + zero + _words(tail)
    words = ""
    gap = False
    for place in (3, 2, 1, 0):
        digit = value // 10**place % 10
        if digit:
            words += ("零" if gap and words else "") + DIGITS[digit] + _SCALES[place]
        gap = not digit
    return words


@lru_cache(maxsize=4096)
def number(text: str, is_count: bool = False) -> str:
    """A number with or without a decimal point: "3.05" -> 三点零五."""
    whole, _, decimals = plain(text).partition(".")
    words = cardinal(whole, is_count and not decimals)
    return f"{words}点{read_digits(decimals)}" if decimals else words


def score(match: re.Match[str]) -> str:
    """Numbers with colons or hyphens between, the group score: "3:1" -> 三比一."""
    return "比".join(map(number, re.split("[:：-]", match["score"])))


def sign_word(sign: str | None, minus: str = "负") -> str:
    """How a sign in front of an amount is said."""
    return {"+": "正", "±": "正负", "-": minus}.get(plain(sign or ""), "")


def signed(sign: str | None, text: str, minus: str = "负") -> str:
    """A number with its sign."""
    return sign_word(sign, minus) + number(text)
