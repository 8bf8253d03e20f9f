"""Small creative writing composed of hand-written lines: two-line poems, three-sentence stories, wishes."""

from __future__ import annotations

from random import Random
from typing import Any

from data.generators.chat.topics import split_of

# Subject: first lines and second lines, seven syllables each; within a subject any first goes with any
# second.
_POEMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "月亮": (
        ("月亮弯弯像小船", "月亮圆圆挂天边", "一轮明月照窗前"),
        ("轻轻摇进梦里面", "星星陪它到明天", "照得小院亮闪闪"),
    ),
    "春天": (
        ("春风吹绿小河边", "桃花开满小山前", "春雨沙沙落田间"),
        ("燕子飞回旧屋檐", "孩子笑着放纸鸢", "一片新绿到眼前"),
    ),
    "雪": (
        ("雪花飘飘落下来", "一夜大雪满窗台", "白雪悄悄盖山来"),
        ("孩子笑着跑出来", "屋顶田野一片白", "等着梅花慢慢开"),
    ),
    "大海": (
        ("大海宽宽望不边", "浪花朵朵涌到前", "海风轻轻吹白帆"),
        ("贝壳静静睡沙滩", "海鸥飞在白云间", "蓝色连着那片天"),
    ),
    "秋天": (
        ("秋风吹过稻田黄", "树叶片片换新装", "秋天天高白云长"),
        ("果子满园阵阵香", "农家院里晒满粮", "大雁排队去南方"),
    ),
    "妈妈": (
        ("妈妈双手暖又轻", "妈妈爱我最用心", "妈妈微笑像星星"),
        ("为我缝衣到夜静", "每句叮咛我都听", "陪我走过雨和晴"),
    ),
    "星星": (
        ("星星眨眼放光明", "满天星星亮晶晶", "颗颗星星像眼睛"),
        ("陪着月亮到天明", "好像灯火数不清", "陪我安静入梦境"),
    ),
    "小猫": (
        ("一只小猫真灵巧", "小猫走路静悄悄", "小猫胡子翘一翘"),
        ("尾巴轻轻摇呀摇", "见了小鱼喵喵叫", "晒着太阳伸懒腰"),
    ),
    "雨": (
        ("小雨沙沙落窗前", "雨滴跳在绿叶间", "细雨悄悄洗蓝天"),
        ("小草喝水笑开颜", "彩虹挂在山那边", "洗出一片好春天"),
    ),
    "太阳": (
        ("太阳升起照树梢", "太阳公公起得早", "一轮红日挂得高"),
        ("照得花儿眯眯笑", "叫醒树上小小鸟", "大地披上金衣袍"),
    ),
    "风": (
        ("风儿轻轻吹过来", "一阵清风进窗来", "风儿跑过小山外"),
        ("带着花香满院开", "吹得云朵飘下来", "树叶一起舞起来"),
    ),
    "老师": (
        ("老师站在讲台前", "老师话语记心间", "粉笔写满小黑板"),
        ("带我走进书里面", "灯下批改到夜晚", "像盏明灯亮眼前"),
    ),
}
_POEM_FORMS = (
    "写一首关于{}的两行小诗。",
    "用两行诗写写{}。",
    "请以{}为题写两行诗。",
    "给我写两句关于{}的诗。",
    "来两行诗，写{}。",
    "帮我写首{}的短诗。",
)

_HEROES = ("小兔子", "小狐狸", "小男孩", "小女孩", "小乌龟", "小松鼠", "小鸭子", "小熊", "小刺猬", "小机器人")
_PLACES = ("森林里", "小河边", "山脚下", "公园里", "雪地里", "海边", "花园里")
# What is found, what becomes of it, how it ends.
_EVENTS = (
    ("捡到一颗亮亮的种子", "把种子种在家门口，每天浇水", "后来那里开出了一朵大大的花。"),
    ("遇到一只受伤的小鸟", "给小鸟包好翅膀，每天喂它吃东西", "小鸟好了以后，唱了一首歌谢谢朋友。"),
    ("发现一座断了的小桥", "找来木头和绳子，和朋友一起修桥", "从此大家过河都很方便。"),
    ("迷了路，心里很害怕", "想起妈妈的话，跟着太阳的方向走", "天黑以前，终于看见了家里的灯光。"),
    ("看见一只掉进水坑的蚂蚁", "放下一片树叶，让蚂蚁爬了上来", "第二天，蚂蚁带着朋友来道谢。"),
    ("捡到一顶漂亮的帽子", "一家一家去问，找到了帽子的主人", "主人很高兴，请大家吃了甜甜的蛋糕。"),
    ("看见一位老奶奶提着重重的篮子", "跑过去帮忙，一直送到门口", "老奶奶笑着说：“谢谢你，好孩子。”"),
)
_STORY_FORMS = (
    "用三句话讲一个{}的故事。",
    "讲一个关于{}的小故事。",
    "写一个{}的短故事。",
    "给我讲讲{}的故事吧。",
    "编一个关于{}的三句话故事。",
    "我想听{}的故事。",
)

_PEOPLE = ("妈妈", "爸爸", "爷爷", "奶奶", "老师", "同学", "好朋友", "姐姐", "弟弟", "同事")
_OCCASIONS = {
    "生日": ("生日快乐", "愿你天天都有好心情", "愿你平安健康，笑口常开", "愿你的愿望都能实现"),
    "新年": ("新年快乐", "愿新的一年平平安安", "愿你身体健康，事事顺利", "愿每一天都有笑声"),
    "中秋": ("中秋快乐", "愿月圆人也圆", "愿全家团团圆圆", "愿你的日子像月饼一样甜"),
}
_WISH_FORMS = (
    "给{who}写一句{when}祝福。",
    "{when}到了，我想祝福{who}，怎么写？",
    "帮我写一句送给{who}的{when}祝福语。",
    "请写一句{when}祝福，送给{who}。",
)


def _record(prompt: str, answer: str, split: str, must: list[list[str]]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
        "category": "creative",
    }
    if split == "heldout":
        record["rubric"] = {"must": must, "must_not": []}
    return record


def poem_record(rng: Random, split: str) -> dict[str, Any]:
    """A two-line poem; held out are (subject, wording) pairs. The rubric asks for the subject."""
    while True:
        subject, form = rng.choice(tuple(_POEMS)), rng.choice(_POEM_FORMS)
        if split_of("poem", subject, form) == split:
            break
    first, second = _POEMS[subject]
    lines = f"{rng.choice(first)}，\n{rng.choice(second)}。"
    # A poem need not name its subject, so any distinctive half of its own lines counts as being about it.
    about = [subject, *(line[:4] for line in first), *(line[-4:] for line in second)]
    return _record(form.format(subject), lines, split, [about])


def story_record(rng: Random, split: str) -> dict[str, Any]:
    """A three-sentence story; held out are (hero, wording) pairs. The rubric asks for the hero."""
    while True:
        hero, form = rng.choice(_HEROES), rng.choice(_STORY_FORMS)
        if split_of("story", hero, form) == split:
            break
    found, done, ending = rng.choice(_EVENTS)
    story = f"有一天，{hero}在{rng.choice(_PLACES)}{found}。{hero}{done}。{ending}"
    return _record(form.format(hero), story, split, [[hero]])


def wish_record(rng: Random, split: str) -> dict[str, Any]:
    """A wish for a person and an occasion; held out are (person, occasion, wording) triples."""
    while True:
        who, when, form = rng.choice(_PEOPLE), rng.choice(tuple(_OCCASIONS)), rng.choice(_WISH_FORMS)
        if split_of("wish", who, when, form) == split:
            break
    greeting, *wishes = _OCCASIONS[when]
    wish = f"{who}，{greeting}！{rng.choice(wishes)}！"
    return _record(form.format(who=who, when=when), wish, split, [[who], [greeting]])


def creative_record(rng: Random, split: str) -> dict[str, Any]:
    """A poem, a story or a wish, equally often."""
    return rng.choice((poem_record, story_record, wish_record))(rng, split)
