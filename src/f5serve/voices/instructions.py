"""Chooses a style of a voice by OpenAI's `instructions`, words about the way of speaking.

The first word that names a style counts: its own name, or one of the usual words below. Words under
a negation do not: "not sad", "anything but angry", "nicht traurig", "不要悲伤", "悲しくない".
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

WORDS: Final = (
    """happy happily happiness cheerful cheerfully cheery joyful joyfully joyous upbeat
    delighted fröhlich glücklich heiter joyeux joyeuse joyeusement heureux heureuse gai feliz
    alegre contento contenta alegremente allegro allegra felice felicemente gioioso gioiosa 高兴
    快乐 开心 愉快 嬉しい 嬉しそう 楽しい 楽しそう 明るい 明るく""",
    """sad sadly sadness sorrowful sorrowfully mournful gloomy melancholic melancholy unhappy
    tearful traurig trist betrübt triste tristement malheureux tristemente tristeza tristezza
    melancólico melancólica malinconico malinconica 悲伤 难过 伤心 悲しい 悲しそう 悲しげ""",
    """angry angrily anger furious furiously mad irritated annoyed wütend zornig verärgert fâché
    fâchée furieux furieuse énervé énervée colère enojado enojada enfadado enfadada furioso
    furiosa arrabbiato arrabbiata rabbia zangado zangada raiva 生气 愤怒 怒る 怒った 怒って 怒り""",
    """calm calmly relaxed soothing soothingly peaceful peacefully serene serenely tranquil
    ruhig gelassen entspannt calme calmement apaisé apaisant tranquilo tranquila calmado calmada
    sereno serena calmo calma calmamente tranquillo tranquilla 平静 冷静 放松 落ち着いた
    落ち着いて 穏やか""",
    """whisper whispers whispering whispered whispery hushed quiet quietly softly quiet_voice
    soft_voice low_voice under_your_breath flüsternd flüstern geflüstert flüstere leise
    chuchoter chuchoté chuchotant chuchote murmurer murmure voix_basse susurro susurrando
    susurrar susurrado voz_baja sussurro sussurrando sussurrato sussurra sussurrado voz_baixa
    sottovoce 耳语 低语 小声 轻声 ささやき ささやく ささやいて 囁き 囁く 囁いて""",
    """serious seriously earnest earnestly solemn solemnly formal formally grave stern ernst
    ernsthaft sérieux sérieuse sérieusement serio seria seriamente sério séria 严肃 认真 真剣
    真面目""",
    """friendly warm warmly kindly welcoming freundlich herzlich amical amicale amicalement
    chaleureux chaleureuse amable amablemente amigable amichevole amichevolmente cordiale
    amigável amistoso amistosa gentil 友好 友善 亲切 温暖 優しい 優しく やさしく 親しみ""",
    """fearful fearfully scared afraid frightened terrified anxious anxiously nervous nervously
    ängstlich verängstigt furchtsam apeuré apeurée effrayé effrayée peureux asustado asustada
    temeroso temerosa miedo spaventato spaventata impaurito impaurita paura assustado assustada
    medo 害怕 恐惧 怖い 怖そう 怯えた 怯えて""",
    """excited excitedly excitement enthusiastic enthusiastically energetic energetically
    thrilled aufgeregt begeistert enthousiaste excité excitée emocionado emocionada entusiasta
    entusiasmado entusiasmada eccitato eccitata entusiasta entusiasticamente animado animada
    兴奋 激动 热情 興奮 元気""",
    """surprised surprise astonished amazed überrascht erstaunt surpris surprise étonné étonnée
    sorprendido sorprendida asombrado sorpreso sorpresa surpreso surpresa 惊讶 吃惊 驚いた
    驚いて 驚き""",
    """shout shouting shouted yell yelling loud loudly scream screaming schreien schreiend laut
    crier criant gritar gritando gritado urlare urlando gridare gridando 大喊 喊叫 大声 叫ぶ
    叫んで 叫び""",
    """disgusted disgust disgustedly angewidert angeekelt dégoûté dégoûtée asqueado asqueada
    disgustato disgustata 厌恶 恶心 嫌悪""",
)
"""Words for one way of speaking in each line, in the languages whose texts are normalized; `_` is a
space. A style with any of these names, such as happy or cheerful, is chosen by all of them."""

_LINES: Final = tuple(tuple(line.split()) for line in WORDS)
_MAX_WORDS: Final = 3  # of a name
_MAX_CJK: Final = max(len(word) for line in _LINES for word in line if word[0] >= "\u3040")
_CJK = r"\u3040-\u30ff\u3400-\u9fff"
_SENTENCE_END = re.compile(r"[.!?;。！？；]")
_ITEM = re.compile(r"\s{0,20}[-*•]")
_NEGATED_BEHIND = re.compile(rf"[{_CJK}]{{0,8}}?(?:ない|なく|ません|ずに)")
_TOKEN = re.compile(
    rf"""(?P<neutral> \b(?: (?:not|nicht|no|pas|non|não)\ (?:only|just|nur|solo|sólo|seulement|só)
            | nothing\ but )\b | 不[仅但只] )
    | (?P<negation> \b(?: no | not | never | nor | neither | without | avoid[a-z]{{0,4}} | less
            | cannot | dont | hardly | nothing | stop | refrain[a-z]{{0,3}} | lack[a-z]{{0,3}}
            | [a-z]{{2,6}}n't | (?:instead|free)\ of | (?:rather|other)\ than | anything\ but
            | far\ from | as\ opposed\ to
            | nicht | kein[a-z]{{0,2}} | ohne | nie | niemals | weder | statt | vermeide[a-z]{{0,2}}
            | weniger
            | pas | sans | jamais | ni | aucune? | évite[a-z]{{0,2}} | moins | au\ lieu\ de
            | sin | nunca | evit[aei][a-z]{{0,3}} | menos | tampoco | en\ (?:vez|lugar)\ de
            | non(?!-) | senza | mai | né | meno | invece\ di | não | sem | nem | em\ vez\ de )\b
            | 不 | 没 | 沒 | 勿 | 莫 | 非(?!常) | (?<![特分个])别 | 避免 )
    | (?P<contrast> \b(?: but | however | sondern | aber | stattdessen | sino | pero | bensì
            | porém )\b
            | ,\s{{0,3}}(?:and\ |then\ |please\ ){{0,2}}(?: be | speak | sound | stay | keep | use
              | make | read | say | always | only | just | rather | instead | lieber | mais | plutôt
              | más\ bien | ma | piuttosto | mas )\b
            | 而是 | 但 | [,，、]\s{{0,3}}[要请] )
    | (?P<cjk> [{_CJK}] )
    | (?P<word> [^\W_{_CJK}]+ )
    | (?P<gap> [,、，:] )""",
    re.VERBOSE,
)


def style_for(instructions: str, styles: Sequence[str]) -> str:
    """The style that `instructions` ask for; "" if they name none of these.

    The cost grows with the length of the instructions.

    Args:
        styles: of the voice, in lower case.
    """
    names = _names_of(styles)
    if not names:
        return ""
    is_list_negated = False  # of "Avoid:" and the items behind it
    text = unicodedata.normalize("NFC", instructions).lower().replace("’", "'")
    for line in text.splitlines():
        is_item = _ITEM.match(line) is not None
        is_negated = is_item and is_list_negated
        for sentence in _SENTENCE_END.split(line):
            reader = _SentenceReader(names, is_negated)
            style = reader.find(sentence)
            if style:
                return style
            is_negated = False
        if line.rstrip().endswith(":"):
            is_list_negated = reader.is_negated
        elif line.strip() and not is_item:
            is_list_negated = False
    return ""


class _SentenceReader:
    """Finds the first style that one sentence names, and does not deny."""

    def __init__(self, names: Mapping[str, str], is_negated: bool) -> None:
        self._names = names
        self._words = deque[str](maxlen=_MAX_WORDS)
        self.is_negated = is_negated

    def find(self, sentence: str) -> str:
        """The style, or ""."""
        for token in _TOKEN.finditer(sentence):
            if token.lastgroup == "negation":
                self.is_negated = True
            elif token.lastgroup == "contrast":
                self.is_negated = False
            if token.lastgroup == "word":
                self._words.append(token[0])
            else:
                self._words.clear()
            if self.is_negated:
                continue
            if token.lastgroup == "cjk":
                style = self._cjk_style(sentence, token.start())
            else:
                style = self._word_style()
            if style:
                return style
        return ""

    def _word_style(self) -> str:
        """The style that the last words name, the longest name first."""
        words = [*self._words]
        names = ("_".join(words[first:]) for first in range(len(words)))
        return next((self._names[name] for name in names if name in self._names), "")

    def _cjk_style(self, sentence: str, start: int) -> str:
        for end in range(start + _MAX_CJK, start, -1):
            style = self._names.get(sentence[start:end])
            if style is not None:
                return "" if _NEGATED_BEHIND.match(sentence, end) else style
        return ""


def _names_of(styles: Sequence[str]) -> dict[str, str]:
    """Styles by the words that name them."""
    own = {style.replace("-", "_"): style for style in styles}
    names: dict[str, str] = {}
    for line in _LINES:
        style = next((own[word] for word in line if word in own), None)
        if style is not None:
            names.update(dict.fromkeys(line, style))
    return names | own
