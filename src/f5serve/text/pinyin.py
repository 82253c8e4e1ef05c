"""Pinyin that a caller gives: in the text, each syllable is one private character.

Such a character passes cleaning, normalization and splitting as it is, and the tokenizer reads it
as upstream reads a Chinese character, so `<say-as pinyin="dao3">倒</say-as>` is spoken as `dao3`.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

from f5serve.errors import InvalidRequest
from f5serve.text.mapped_text import MappedText
from f5serve.types import Span

_TABLE = (
    "a12345 ai1234 an1234 ang1234 ao1234 ba12345 bai12345 ban1345 bang134 bao1234 bei1345 "
    "ben134 beng12345 bi1234 bian1345 biang24 biao134 bie1234 bin1345 bing134 bo12345 bong4 "
    "bu12345 ca134 cai1234 can1234 cang1234 cao1234 ce4 cei4 cen12 ceng124 cha1234 chai1234 "
    "chan1234 chang12345 chao1234 che1234 chen12345 cheng1234 chi12345 chong1234 chou1234 "
    "chu12345 chua134 chuai1234 chuan1234 chuang1234 chui1234 chun123 chuo14 ci1234 cong1234 "
    "cou1234 cu1234 cuan124 cui1345 cun1234 cuo1234 da12345 dai1345 dan134 dang1345 dao1234 "
    "de125 dei13 den4 deng134 di12345 dia3 dian1234 diao134 die1234 din4 ding134 diu1 dong134 "
    "dou134 du1234 duan134 dui134 dun134 duo12345 e12345 ei1234 en134 eng1 er2345 fa12345 "
    "fan1234 fang12345 fei1234 fen1234 feng1234 fiao4 fo2 fou123 fu12345 ga1234 gai134 gan134 "
    "gang134 gao134 ge12345 gei3 gen1234 geng134 gong1345 gou134 gu12345 gua1234 guai134 "
    "guan134 guang1345 gui134 gun34 guo12345 ha1234 hai12345 han12345 hang1234 hao1234 he1234 "
    "hei1 hen1234 heng124 hm5 hng5 hong1234 hou1234 hu12345 hua124 huai245 huan1234 huang12345 "
    "hui12345 hun1234 huo12345 ji1234 jia12345 jian1345 jiang134 jiao12345 jie12345 jin134 "
    "jing1345 jiong134 jiu12345 ju12345 juan134 jue1234 jun134 ka13 kai134 kan134 kang1234 "
    "kao134 ke12345 kei1 ken134 keng13 kong134 kou134 ku1234 kua134 kuai34 kuan13 kuang1234 "
    "kui1234 kun1345 kuo4 la12345 lai234 lan234 lang12345 lao12345 le145 lei12345 len4 "
    "leng1234 li12345 lia3 lian234 liang2345 liao1234 lie12345 lin1234 ling12345 liu1234 lo5 "
    "long1234 lou12345 lu12345 luan234 lun1234 luo12345 lv234 lve34 m124 ma12345 mai234 "
    "man1234 mang1234 mao1234 me15 mei234 men1245 meng12345 mi1234 mian234 miao1234 mie1245 "
    "min235 ming2345 miu34 mo12345 mou1234 mu234 n2345 na12345 nai2345 nan1234 nang12345 "
    "nao1234 ne245 nei234 nen4 neng234 ng2345 ni1234 nia1 nian1234 niang234 niao345 nie1234 "
    "nin235 ning234 niu1234 nong234 nou234 nu234 nuan234 nun24 nuo234 nv234 nve4 o12345 "
    "ou12345 pa1234 pai1234 pan1234 pang1234 pao1234 pei1234 pen1234 peng1234 pi1234 pian1234 "
    "piao1234 pie134 pin1234 ping1234 po12345 pou1234 pu12345 qi12345 qia1234 qian12345 "
    "qiang1234 qiao1234 qie1234 qin1234 qing12345 qiong124 qiu1234 qu12345 quan12345 que124 "
    "qun123 ran234 rang12345 rao234 re234 ren234 reng124 ri4 rong12345 rou234 ru2345 rua2 "
    "ruan234 rui234 run234 ruo24 sa1345 sai134 san1345 sang134 sao134 se14 sen13 seng14 "
    "sha12345 shai134 shan1234 shang1345 shao1234 she1234 shei2 shen1234 sheng12345 shi12345 "
    "shou12345 shu1234 shua134 shuai134 shuan14 shuang134 shui2345 shun34 shuo124 si12345 "
    "song1234 sou134 su1234 suan134 sui1234 sun134 suo12345 ta12345 tai12345 tan1234 tang1234 "
    "tao1234 te45 tei1 teng1245 ti1234 tian1234 tiao12345 tie1234 ting1234 tong1234 tou12345 "
    "tu12345 tuan1234 tui1234 tun1234 tuo1234 wa12345 wai1345 wan1234 wang1234 wei12345 "
    "wen12345 weng134 wo134 wong4 wu12345 xi12345 xia1234 xian12345 xiang1234 xiao12345 "
    "xie1234 xin12345 xing12345 xiong1234 xiu1234 xu12345 xuan1234 xue1234 xun124 ya12345 "
    "yan1234 yang12345 yao1234 ye12345 yi12345 yin12345 ying1234 yo15 yong1234 you12345 "
    "yu12345 yuan1234 yue1234 yun12345 za1234 zai134 zan12345 zang134 zao1234 ze245 zei2 "
    "zen1345 zeng134 zha12345 zhai1234 zhan1234 zhang1345 zhao12345 zhe12345 zhei4 zhen1234 "
    "zheng134 zhi12345 zhong134 zhou1234 zhu1234 zhua13 zhuai134 zhuan1234 zhuang134 zhui134 "
    "zhun134 zhuo1245 zi12345 zong1345 zou134 zu1234 zuan134 zui12345 zun1234 zuo12345"
)
"""Syllables and their tones, 5 the neutral one; `v` is ü. All that pypinyin knows."""

_FIRST = 0x100000
_LONGEST_SYLLABLE = 6
_PLACES = 5
"""Characters for each syllable of the table: its tones 1 to 5."""

_SYLLABLE_CHARS = re.compile("[\U00100000-\U00100fff]++")
SAY_AS = (
    r"<say-as\s{1,9}pinyin\s{0,9}=\s{0,9}(?:\"(?P<double>[^\"<>]{0,500})\"|'(?P<single>[^'<>]{0,500})')"
    r"\s{0,9}>(?P<words>[^<>]{0,500})</say-as\s{0,9}>"
)
"""The tag of SSML with its characters, as a pattern for any case; `words` are the characters."""

_INLINE = re.compile(r"\[pinyin:[^\[\]]{0,500}\]", re.IGNORECASE)
_MARKUP = re.compile(rf"\[pinyin:(?P<inline>[^\[\]]{{0,500}})\]|{SAY_AS}", re.IGNORECASE)
_WRITTEN_SYLLABLE = re.compile(r"[^\s\d'’,;.-]++\d?|\d")
_TONE_MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
_AFTER_PALATALS = re.compile("(?<=[jqxy])v")
_SAME = {"lue": "lve", "nue": "nve"}


@lru_cache(maxsize=1)
def _syllables() -> dict[str, int]:
    """Each base syllable and its place in the table."""
    return {entry.rstrip("12345"): place for place, entry in enumerate(_TABLE.split())}


@lru_cache(maxsize=1)
def _tokens() -> dict[str, str]:
    """Each token, such as dao3, and the character that stands for it; neutral tones have no digit.

    A third tone is spoken as a second one before another, so both are there.
    """
    found = {}
    for place, entry in enumerate(_TABLE.split()):
        base = entry.rstrip("12345")
        tones = set(entry[len(base) :]) | ({"2"} if "3" in entry else set())
        for tone in sorted(tones):
            token = base if tone == "5" else base + tone
            found[token] = chr(_FIRST + _PLACES * place + int(tone) - 1)
    return found


@lru_cache(maxsize=1)
def _by_character() -> dict[str, str]:
    return {character: token for token, character in _tokens().items()}


def syllable_of(character: str) -> str:
    """The token that a character stands for: dao3; "" where it is no syllable of ours."""
    return _by_character().get(character, "") if character >= "\U00100000" else ""


def parse_pinyin(text: str) -> str:
    """Syllables as they are typed, `chong2 qing4` or `chóng qìng`, as private characters.

    Raises:
        InvalidRequest: code BAD_PINYIN.
    """
    written = _WRITTEN_SYLLABLE.findall(text)
    if not written:
        raise _bad_pinyin(f"The pinyin {text[:40]!r} has no syllable.", "")
    return "".join(map(_parse_syllable, written))


def _parse_syllable(written: str) -> str:
    base, tone = _base_and_tone(written)
    character = _tokens().get(f"{base}{tone}" if tone in (1, 2, 3, 4) else base)
    if character is None or tone > _PLACES:
        raise _bad_pinyin(f"There is no pinyin syllable {written[:20]!r}.", base)
    return character


def _base_and_tone(written: str) -> tuple[str, int]:
    """A syllable without its tone, and the tone: 0 where none is written."""
    tone = 0
    plain = ""
    for part in unicodedata.normalize("NFD", written.lower().replace("u:", "ü")):
        tone = _TONE_MARKS.get(part, tone)
        plain += "" if part in _TONE_MARKS else part
    base = unicodedata.normalize("NFC", plain).replace("ü", "v")
    if base[-1:].isdecimal():
        base, tone = base[:-1], int(base[-1])
    base = _AFTER_PALATALS.sub("u", base)
    return _SAME.get(base, base), tone


def _bad_pinyin(message: str, base: str) -> InvalidRequest:
    bases = [base] if base in _syllables() else []
    if not bases and base:
        bases = difflib.get_close_matches(base[: 2 * _LONGEST_SYLLABLE], _syllables(), n=2)
    near = [token for token in _tokens() if token.rstrip("1234") in bases]
    nearest = f"The nearest are {', '.join(near[:10])}. " if near else ""
    return InvalidRequest(
        message,
        code="BAD_PINYIN",
        hint=f"{nearest}Write each syllable with its tone, as in [pinyin:chong2 qing4].",
    )


def mark_pinyin(mapped: MappedText) -> MappedText:
    """Both markups as syllables: `[pinyin:chong2]`, `<say-as pinyin="dao3">倒</say-as>`.

    A syllable has the span of its character within the tag, of all of them where their number is
    another one, and of the whole markup where it has no text.

    Raises:
        InvalidRequest: code BAD_PINYIN for a syllable that does not exist.
    """
    if "pinyin" not in mapped.text.lower():
        return mapped
    found = []
    for match in _MARKUP.finditer(mapped.text):
        marked = parse_pinyin(match["inline"] or match["double"] or match["single"] or "")
        found.append((match.span(), marked, _span_of_words(match)))
    return _put(mapped, found)


def _span_of_words(match: re.Match[str]) -> Span:
    words = match["words"] or ""
    if not words.strip():
        return match.span()
    start = match.start("words") + len(words) - len(words.lstrip())
    return start, start + len(words.strip())


def mark_phrases(mapped: MappedText, phrases: Mapping[str, str]) -> MappedText:
    """Phrases of a lexicon as their pinyin: {"重庆": "chong2 qing4"}; the longest match is taken.

    Raises:
        InvalidRequest: code BAD_PINYIN for a syllable that does not exist.
    """
    marked = {phrase: parse_pinyin(pinyin) for phrase, pinyin in phrases.items() if phrase}
    found = [
        ((start, start + len(phrase)), marked[phrase], (start, start + len(phrase)))
        for start, phrase in _occurrences(mapped.text, marked)
    ]
    return _put(mapped, found)


def _occurrences(text: str, phrases: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    lengths: dict[str, set[int]] = {}
    for phrase in phrases:
        lengths.setdefault(phrase[0], set()).add(len(phrase))
    longest_first = {first: sorted(found, reverse=True) for first, found in lengths.items()}
    position = 0
    while position < len(text):
        candidates = longest_first.get(text[position], [])
        parts = (text[position : position + length] for length in candidates)
        phrase = next((part for part in parts if part in phrases), "")
        if phrase:
            yield position, phrase
        position += len(phrase) or 1


def _put(mapped: MappedText, found: list[tuple[Span, str, Span]]) -> MappedText:
    """The text with syllables in place of parts of it.

    Args:
        found: the part that is replaced, the syllables, and the part that they are heard for.
    """
    if not found:
        return mapped
    parts = []
    end = 0
    for (start, stop), marked, (first, last) in found:
        places = [(first, last)] * len(marked)
        if last - first == len(marked):
            places = [(index, index + 1) for index in range(first, last)]
        parts += [mapped[end:start], mapped.replaced(marked, places)]
        end = stop
    return MappedText.join([*parts, mapped[end:]])


def without_pinyin(text: str) -> str:
    """The text without `[pinyin:...]`, whose letters are of no language."""
    return _INLINE.sub("", text) if "[" in text else text


def show_pinyin(text: str) -> str:
    """The text for people: `[pinyin:chong2 qing4]` where it has syllables of ours."""
    if text.isascii():
        return text
    return _SYLLABLE_CHARS.sub(_show_run, text)


def _show_run(run: re.Match[str]) -> str:
    tokens = [syllable_of(character) for character in run[0]]
    return f"[pinyin:{' '.join(tokens)}]" if all(tokens) else run[0]


def spoken_bytes(text: str) -> int:
    """Bytes of UTF-8, by which the length of speech is reckoned; a syllable has 3, as 倒 has."""
    size = len(text.encode())
    return size if text.isascii() else size - sum(map(len, _SYLLABLE_CHARS.findall(text)))
