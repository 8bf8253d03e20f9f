"""Bytes -> text, also where nobody says which encoding they are in.

A byte-order mark says it, and text that is valid UTF-8 is UTF-8: by chance nothing else is. For the rest the
question is which text is the most probable one that these bytes can be,

    encoding = argmax_e max_l [ log P(e, l) + sum_i log P_l(character i of the bytes decoded by e) ],

a character's probability P_l in each language l that people write in encoding e. Decoding loses nothing, so these
are probabilities of the same bytes and can be compared. Three things are known of each language, and no more: its
few hundred most common characters, in order (the r-th has a share of about 1 / (r + 10), Zipf 1949); its everyday
characters, which the committees that made the encodings put into the first half of their tables; and that all others
are rare. That is enough from ten characters on. "None of these" has a probability too, that of bytes drawn at
random, and bytes that an encoding does not know count against it, so that a damaged file is told from one in another
encoding.

Libraries that guess encodings are made for web pages and each fails on short Chinese in its own way.
"""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from scratchgpt.datasets.compression import read_bytes
from scratchgpt.errors import UserError

LOOKED_AT = 1 << 16
"""Bytes by which the encoding is recognised, from the line of the first one that is not ASCII."""


class DecodedText(NamedTuple):
    """A text and how it was read."""

    text: str
    """Without a byte-order mark at its beginning; line ends as they were."""
    encoding: str
    """In the words people use: "UTF-8", "GB18030", "Shift_JIS" ..."""
    guessed: bool
    """Whether neither the caller nor a byte-order mark nor valid UTF-8 said so."""


def read_text_file(path: Path, encoding: str | None = None) -> DecodedText:
    """The text of a file, which may be packed as .gz, .xz, .bz2 or .zst.

    Args:
        path: of the file.
        encoding: its encoding; None: recognise it.

    Raises:
        UserError: if it cannot be read, unpacked or decoded, or is empty.
    """
    decoded = decode_text(read_bytes(path), str(path), encoding)
    if not decoded.text.strip():
        raise UserError(f"{path}: the file is empty")
    return decoded


def decode_text(data: bytes, where: str, encoding: str | None = None) -> DecodedText:
    """Bytes as text.

    Args:
        data: the bytes.
        where: what errors call them, the name of the file.
        encoding: a name that Python knows ("gb18030", "big5", "latin-1"); None: recognise it.

    Raises:
        UserError: if there is no such encoding, if none is recognised, or if some byte does not belong to it: with the
            offset of the byte and its line.
    """
    if encoding is not None:
        name, codec = _named(encoding)
        return DecodedText(_decoded(data, codec, name, where), name, False)
    for mark, (name, codec) in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return DecodedText(_decoded(data, codec, name, where), name, False)
    if 0 not in data:
        try:
            return DecodedText(data.decode("utf-8"), "UTF-8", False) if b"\x1b$" not in data else _japanese_mail(data)
        except UnicodeDecodeError:
            pass
    name, codec = _recognised(data, where)
    return DecodedText(_decoded(data, codec, name, where), name, name != "UTF-8")


BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: ("UTF-8", "utf-8-sig"),
    codecs.BOM_UTF32_LE: ("UTF-32", "utf-32"),  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: ("UTF-32", "utf-32"),
    codecs.BOM_UTF16_LE: ("UTF-16", "utf-16"),
    codecs.BOM_UTF16_BE: ("UTF-16", "utf-16"),
    b"\x84\x31\x95\x33": ("GB18030", "gb18030"),
}
"""What a text may begin with, and what that says of it: (name, codec of Python)."""


class _Encoding(NamedTuple):
    name: str
    codec: str
    languages: dict[str, float]
    """What people write in it, and the logarithm of how usual that is."""

    @property
    def of_two_bytes(self) -> bool:
        """Whether ASCII too has two bytes a character."""
        return self.codec.startswith("utf-16")


_ENCODINGS = (
    # UTF-8 that is valid was recognised before: here stands what is valid but for a few bytes.
    _Encoding("UTF-8", "utf-8", {"simplified": 0, "traditional": 0, "japanese": 0, "korean": 0, "western": 0}),
    _Encoding("GB18030", "gb18030", {"simplified": 0, "traditional": -2, "japanese": -4}),
    _Encoding("Big5", "cp950", {"traditional": -1}),
    _Encoding("Big5", "big5hkscs", {"traditional": -3}),
    _Encoding("Shift_JIS", "cp932", {"japanese": -1}),
    _Encoding("EUC-JP", "euc_jp", {"japanese": -1}),
    _Encoding("EUC-KR", "cp949", {"korean": -4}),
    _Encoding("Windows-1252", "cp1252", {"western": -1}),
    _Encoding(
        "UTF-16", "utf-16-le", {"simplified": -1, "traditional": -2, "japanese": -2, "korean": -3, "western": -1}
    ),
    _Encoding(
        "UTF-16", "utf-16-be", {"simplified": -3, "traditional": -4, "japanese": -4, "korean": -5, "western": -3}
    ),
)
_ALIASES = {
    "gb2312": ("GB18030", "gb18030"),
    "gbk": ("GB18030", "gb18030"),
    "gb18030": ("GB18030", "gb18030"),
    "big5": ("Big5", "cp950"),
    "cp950": ("Big5", "cp950"),
    "shift_jis": ("Shift_JIS", "cp932"),
    "cp932": ("Shift_JIS", "cp932"),
    "euc_kr": ("EUC-KR", "cp949"),
    "iso8859-1": ("Windows-1252", "cp1252"),
    "cp1252": ("Windows-1252", "cp1252"),
    "utf-8": ("UTF-8", "utf-8-sig"),
    "utf-16": ("UTF-16", "utf-16"),
}
"""Names that are given to files which hold a little more than the name allows, as browsers read them (WHATWG)."""

_ASCII_COST = 4.0
"""Nats, the same in every language: ASCII says nothing about which one it is."""
_RANDOM_BYTE_COST = math.log(256)
_DAMAGE_COST = 20.0
_UNUSUAL_COST = 18.0
_CLINGING_COST = 4.0
_ZIPF_OFFSET = 10


class _Language:
    """How probable a character that is not ASCII is in a language.

    Args:
        common: the most common characters, in order.
        common_share: of all characters that are not ASCII.
        marks: punctuation.
        marks_share: of all.
        everyday: characters of everyday use, those of ``common`` among them or not.
        rare: a pattern of the characters that are known, but rare.
    """

    def __init__(
        self, common: str, common_share: float, marks: str, marks_share: float, everyday: Iterable[str], rare: str
    ) -> None:
        self.cost: dict[str, float] = {}
        left = 1 - common_share - marks_share
        beside = set(everyday) - set(common) - set(marks)
        self.cost.update(dict.fromkeys(beside, math.log(len(beside) / (0.9 * left)) if beside else 0))
        for characters, share in ((common, common_share), (marks, marks_share)):
            total = sum(1 / (rank + _ZIPF_OFFSET) for rank in range(len(characters)))
            for rank, character in enumerate(characters):
                self.cost[character] = math.log(total * (rank + _ZIPF_OFFSET) / share)
        self.rare = re.compile(rare)
        self.rare_cost = math.log(20_000 / (0.1 * left))

    def cost_of(self, characters: Counter[str]) -> float:
        """-sum log P, in nats."""
        return sum(count * self._cost_of(character) for character, count in characters.items())

    def _cost_of(self, character: str) -> float:
        if character == "\ufffd":
            return _DAMAGE_COST
        if character < "\x80":
            return _ASCII_COST if character >= " " or character in "\t\n\r" else _UNUSUAL_COST
        known = self.cost.get(character)
        if known is not None:
            return known
        return self.rare_cost if self.rare.match(character) else _UNUSUAL_COST


def _named(encoding: str) -> tuple[str, str]:
    """(name, codec) of the encoding that somebody names."""
    try:
        codec = codecs.lookup(encoding)
        b"text".decode(encoding, "replace")  # fails for what is no encoding of text, such as base64
    except (LookupError, ValueError):
        raise UserError(
            f"--encoding {encoding}: there is no such encoding; name one like utf-8, gb18030, big5, utf-16, shift_jis"
        ) from None
    return _ALIASES.get(codec.name, (encoding, codec.name))


def _decoded(data: bytes, codec: str, name: str, where: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(codec, "replace")
        line = len(re.findall("\r\n?|\n", before)) + 1
        raise UserError(
            f"{where}, line {line}: not {name}, byte {error.start} of the file (0x{data[error.start]:02x}) has no "
            "meaning in it; save the file as UTF-8 or say what it is in with --encoding"
        ) from None


def _japanese_mail(data: bytes) -> DecodedText:
    """ISO-2022-JP, all of whose bytes are ASCII, if that is what it is."""
    try:
        return DecodedText(data.decode("iso2022_jp_2"), "ISO-2022-JP", True)
    except UnicodeDecodeError:
        return DecodedText(data.decode("utf-8"), "UTF-8", False)


def _recognised(data: bytes, where: str) -> tuple[str, str]:
    first = re.search(rb"[\x00\x80-\xff]", data)
    assert first is not None  # the text would be ASCII, and so UTF-8
    # Far into an English text is the first character that says anything. UTF-16 never has as much without a zero.
    start = 0 if first.start() < LOOKED_AT // 2 else data.rfind(b"\n", 0, first.start()) + 1
    looked_at = data[start : start + LOOKED_AT]
    encodings = [encoding for encoding in _ENCODINGS if start == 0 or not encoding.of_two_bytes]
    cost, best = min(((_cost(looked_at, encoding), encoding) for encoding in encodings), key=itemgetter(0))
    if cost < _random_cost(looked_at, best):
        return best.name, best.codec
    line = data.count(b"\n", 0, first.start()) + 1
    raise UserError(
        f"{where}, line {line}: not UTF-8 from byte {first.start()} on, and no encoding that is recognised "
        "(GB18030, Big5, UTF-16, Shift_JIS, EUC-JP, EUC-KR, Windows-1252); is it text? If so, say --encoding NAME"
    )


def _cost(data: bytes, encoding: _Encoding) -> float:
    """-log P(the bytes are text in the encoding), in nats."""
    text = codecs.getincrementaldecoder(encoding.codec)("replace").decode(data)  # a last half character is no damage
    characters = Counter(text)
    cost = min(_languages()[name].cost_of(characters) - prior for name, prior in encoding.languages.items())
    if encoding.languages.keys() == {"western"}:
        # letters with accents stand among others: two in a row are as rare as they are usual in misread text
        cost += _CLINGING_COST * len(re.findall("[À-ÿ](?=[À-ÿ])", text))
    return cost


def _random_cost(data: bytes, encoding: _Encoding) -> float:
    """-log P(the bytes are drawn at random), in nats; ASCII is no evidence for an encoding that holds it as it is."""
    ascii_bytes = 0 if encoding.of_two_bytes else len(data) - len(re.findall(rb"[\x00\x80-\xff]", data))
    return ascii_bytes * _ASCII_COST + (len(data) - ascii_bytes) * _RANDOM_BYTE_COST


def _rows(codec: str, first: int, last: int) -> list[str]:
    """The characters of the rows of a double-byte table, by the first byte."""
    pairs = (bytes([row, cell]) for row in range(first, last + 1) for cell in range(0x40, 0xFF))
    return [text for pair in pairs if len(text := pair.decode(codec, "ignore")) == 1 and text > "\x80"]


@cache
def _languages() -> dict[str, _Language]:
    han = "[\u3400-\u9fff\uff01-\uff5e]"
    return {
        "simplified": _Language(_SIMPLIFIED, 0.62, _CHINESE_MARKS, 0.14, _rows("gb2312", 0xB0, 0xD7), han),
        "traditional": _Language(_TRADITIONAL, 0.62, _CHINESE_MARKS, 0.14, _rows("cp950", 0xA4, 0xC6), han),
        "japanese": _Language(
            _HIRAGANA + _KATAKANA + _KANJI, 0.8, _JAPANESE_MARKS, 0.1, _rows("euc_jp", 0xB0, 0xCF), han
        ),
        "korean": _Language(
            _HANGUL, 0.75, _JAPANESE_MARKS, 0.02, _rows("euc_kr", 0xB0, 0xC8), "[\uac00-\ud7a3\u4e00-\u9fff]"
        ),
        "western": _Language(_LATIN, 0.7, "’“”–—«»‘…°•€£·§©®±×™²³½µ¿¡ºª", 0.28, (), "[\u00a1-\u017f]"),
    }


# -- what is common in each language --------------------------------------------------------------------------
_CHINESE_MARKS = "，。、：；“”？！（）《》—…「」·‘’\u3000『』【】～％０１２３４５６７８９★☆●○→℃×"
_JAPANESE_MARKS = "、。「」・（）！？…『』\u3000：【】～〜％０１２３４５６７８９"
_SIMPLIFIED = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种"
    "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第"
    "公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合"
    "回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总"
    "何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听"
    "白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带"
    "导争运笔风快吗吧呢啊谢早晚请喜欢爱吃饭茶花草树鱼鸟狗猫雨雪春夏秋冬红绿蓝黄黑买卖钱块元斤米油盐糖锅切炒煮"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種"
    "事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第"
    "公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合"
    "回特代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總"
    "何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬科司五基眼書非則聽"
    "白卻界達光放強即像難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶"
    "導爭運筆風快嗎吧呢啊謝早晚請喜歡愛吃飯茶花草樹魚鳥狗貓雨雪春夏秋冬紅綠藍黃黑買賣錢塊元斤米油鹽糖鍋切炒煮裏臺灣嘅係"
)
_HIRAGANA = (
    "のいるにしをとはがたでてなかっれらもすりこだまさきめくあけどえよつうやそわちみせろばおじべげへびごほ"
    "ずぶむねひぎづゃゆょしぼぜぐざふぞぱぬぽゅ"
)
_KATAKANA = (
    "ーンスルトリアイラクドシレロジタフカテプマコバナグニオムサウメデビチパツキエダボハモミヤワネセブノガ"
    "ホソヴユポペベピギズヘヒザゼゴケヨヌャッュョィェァォ"
)
_KANJI = (
    "日一国人年大十二本中長出三時行見月後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半男西電"
    "校語士木車何南万毎白天母火右読友左休父雨会事者社自分方地業新場員立開手力問代明動京目通言理体田主題意不作用度強公持"
    "野以思家世多正安院心界教文元重近考画海売知道集別物使品計死特私始朝運終台広住真有口少町料工建空急止送切転研究足楽起"
    "着店病質待試族銀早映親験英医仕去味写字答夜音注帰古歌買悪図週室歩風紙黒花春赤青館屋色走秋夏習駅洋旅服夕借曜飲肉貸堂"
    "鳥飯勉冬昼茶弟牛魚兄犬妹姉漢部実現発表定性政対的法民経化済関係内議全戦最当家回機法情報合成期加数次初予面取市相点"
)
_HANGUL = (
    "이다는에의을가하고한은를지로도기사서자어시대인리아나해부일그정있제것수보들과전상으라구주만게장여조비스면원거문성치국"
    "경동우무소니진요신학세연공오모물생마안습내중적까저때방관금실없위같분말개선계유심드했작람러오당음건간발후르화려더히식"
    "았었였집날년월길할바명회입천양미반교하결되된될와영차포바느래많좋않못알본각야네씨름큰남북산강밥먹녕"
)
_LATIN = "éèàçñüäöáíóêôîâûùëïãõåøæßúœýÉÀÈÇÄÖÜÅØÆÑÁÓÊÎÔÛÚÍšžŠŽŒðþ"
