"""Pieces of text by hand, of 20 bytes to 2 kB and of many genres, each with the encodings it is tried in.

Python's names of the encodings; none writes a byte-order mark but utf-8-sig and utf-16.
"""

from __future__ import annotations

CHINESE = ("gb18030", "utf-16-le")
BIG5 = ("big5hkscs", "utf-16-be")
JAPANESE = ("cp932", "euc_jp")
LATIN = ("cp1252",)

_STORY = (
    "很久以前，山脚下住着一位老木匠，他的手艺远近闻名，可是脾气也跟手艺一样出名。有一天，一个孩子抱着断了腿的小板凳来找他。"
    "“爷爷，”孩子说，“这是我妈妈结婚时候的凳子。”老木匠看了看，摇摇头，又点点头，转身进屋挑了一块梨木。\n"
    "锯子响了半个下午，刨花落了一地。天黑的时候，凳子站住了，比从前还稳。孩子问要多少钱，老木匠说：“你帮我把刨花扫了吧。”\n"
)
_STORY_TRADITIONAL = (
    "巷口的麵店開了三十年，老闆娘記得每一個客人的口味。下雨的晚上，一個剛搬來的學生推門進來，把傘靠在牆邊，小聲問還有沒有熱湯。"
    "「有，」老闆娘說，「坐，先擦擦頭髮。」她多切了兩片滷肉，又燙了一把青菜。學生吃著吃著，眼眶就紅了。\n"
    "後來他每個星期五都來，畢業那年，他帶著父母坐在同一張桌子旁邊，點了同樣的一碗麵。\n"
)
_STORY_JAPANESE = (
    "駅前の小さな本屋には、いつも猫が一匹すわっている。店の主人は七十を過ぎたおばあさんで、客が来ても本を読むのをやめない。"
    "ある雨の日、傘を忘れた高校生が雨宿りに入ってきた。「その棚の上から三番目」とおばあさんは顔も上げずに言った。\n"
    "高校生がその本を開くと、最後のページに古い切符がはさまっていた。行き先は、もうどこにもない駅の名前だった。\n"
)
_STORY_FRENCH = (
    "Le boulanger du village se levait à trois heures, été comme hiver. Dès cinq heures, l'odeur du pain chaud gagnait la "
    "place de l'église, et les premiers élèves, encore à moitié endormis, s'arrêtaient devant la fenêtre éclairée. Une fois, "
    "un garçon n'avait pas de quoi payer sa brioche. « Tu me la dois », dit le boulanger, et il l'écrivit à la craie derrière "
    "la porte. Vingt ans après, la somme y était toujours, effacée à demi, et personne n'aurait osé y passer l'éponge.\n"
)

PIECES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # simplified Chinese
    ("今天下午去图书馆还书吧", CHINESE),
    ("你好，请问几点开门？", CHINESE),
    ("床前有灯影，窗外有雨声。", CHINESE),
    ("合同编号：甲乙双方各执一份", CHINESE),
    ("老王买了三斤苹果，一共花了十二块五。", CHINESE),
    ("番茄炒蛋：先炒蛋，再炒番茄，最后放盐和一点糖，小火收汁。", CHINESE),
    ("学而不倦，其乐无穷；知而不言，其友必疏。", CHINESE),
    ("def 求和(a, b):  # 两个数相加\n    return a + b\n", CHINESE),
    ("问：水在多少度结冰？\n答：在标准大气压下，零摄氏度。\n", CHINESE),
    ("2024-05-01 12:03 小李: 在吗\n2024-05-01 12:05 小张: 在，刚吃完饭\n", CHINESE),
    ("姓名,年龄,城市\n赵敏,31,成都\n钱进,28,沈阳\n孙悦,45,兰州\n", CHINESE),
    ("【公告】本周六停水，时间为上午八点至下午五点，请各位业主提前储水。", CHINESE),
    ("病人自述头痛两天，无发热，血压正常，建议多休息，三日后复诊。", CHINESE),
    ("第一章 总则\n第一条 为了规范管理，制定本办法。\n第二条 本办法适用于全体员工。\n", CHINESE),
    ("他说“不去”，我说“那就算了”，结果谁也没走成……", CHINESE),
    ("韩信点兵，三人一列余二，五人一列余三，七人一列余二，问兵几何？", CHINESE),
    ("The word 缘分 has no good translation in English, said Lin.", CHINESE),
    ("<p>欢迎光临</p>\n<ul><li>首页</li><li>关于我们</li></ul>\n", CHINESE),
    ("[server]\nname = 测试服务器\nport = 8080\n", CHINESE),
    ("风急浪高，孤舟一叶。渔翁不言，只看天色。远山如墨，近水如镜，一声橹响，惊起白鹭三两只。", CHINESE),
    ("量子计算机利用叠加态和纠缠态处理信息，对某些问题比经典计算机快得多，但退相干仍是主要障碍。", CHINESE),
    ("主料：排骨500克、冰糖30克、生抽2勺、老抽半勺、姜3片、八角1个。\n做法：冷水下锅焯水，捞出沥干。\n", CHINESE),
    ("昨晚国足又输了，球迷骂声一片，教练赛后表示愿意承担责任，但不会辞职。", CHINESE),
    ("哈哈哈哈笑死我了，你怎么这么可爱啊！", CHINESE),
    ("欧阳锋、令狐冲、慕容复、司马懿、诸葛亮", CHINESE),
    ("龘靐齉爩，这四个字你认得几个？我一个也不认得，查了字典才知道读音。", ("gb18030", "utf-16-le")),
    (_STORY, ("gb18030", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-16")),
    (_STORY * 3, ("gb18030", "utf-16-le", "utf-8")),
    ("他们的房子在河的那一边，要走过一座石桥。" * 30, ("gb18030", "utf-16-be")),
    # traditional Chinese
    ("今天天氣真好，我們去走走。", BIG5),
    ("請問圖書館幾點關門呢？", BIG5),
    ("臺北市信義區，電話請洽櫃檯", BIG5),
    ("食咗飯未呀？我哋聽日先去啦。", ("big5hkscs",)),
    ("春眠不覺曉，處處聞啼鳥，今早卻是鬧鐘叫醒我。", BIG5),
    ("牛肉麵一碗一百二十元，加麵不加價，外帶請自備容器。", BIG5),
    ("為了推動數位學習，教育部將補助偏遠地區學校購買平板電腦。", BIG5),
    ("姓名：陳怡君\n職業：護理師\n興趣：登山、攝影、閱讀\n", BIG5),
    ("# 設定檔\nlanguage = 繁體中文\ntimeout = 30\n", BIG5),
    ("本公司股東會議訂於六月十五日上午九時舉行，請攜帶通知書準時出席。", BIG5),
    ("「你怎麼不早說？」她嘆了一口氣，把信摺好，放回抽屜裡。", BIG5),
    (_STORY_TRADITIONAL, ("big5hkscs", "utf-16-le", "gb18030")),
    (_STORY_TRADITIONAL * 3, BIG5),
    # Japanese
    ("これは私の本ではありません", JAPANESE),
    ("カレーライスを二つください", JAPANESE),
    ("東京都千代田区にある会社です", JAPANESE),
    ("古い池があり、蛙が飛びこみ、水の音がした。", JAPANESE),
    ("お名前とご住所をご記入のうえ、窓口までお持ちください。", JAPANESE),
    ("print('こんにちは、世界')  # あいさつを表示する\n", JAPANESE),
    ("明日の会議は午後三時からに変更になりました。資料は各自でご用意ください。", JAPANESE),
    ("玉ねぎを薄切りにして、弱火で十分ほど炒める。塩をひとつまみ入れると甘くなる。", JAPANESE),
    ("プログラミング言語の入門書、データベース、ネットワーク", JAPANESE),
    (_STORY_JAPANESE, (*JAPANESE, "utf-16-le", "iso2022_jp")),
    (_STORY_JAPANESE * 3, JAPANESE),
    # Latin-1 and what Windows made of it
    ("Café crème et pâté en croûte", LATIN),
    ("Où est la bibliothèque ?", LATIN),
    ("Die Straße ist für Autos gesperrt.", LATIN),
    ("Größe, Höhe, Länge und Übergewicht", LATIN),
    ("El niño comió una manzana mañana por la mañana.", LATIN),
    ("¿Cuántos años tienes? ¡Qué sorpresa!", LATIN),
    ("Blåbærsyltetøy smaker best på nystekte vafler.", LATIN),
    ("A coração e a razão não são irmãos.", LATIN),
    ("“It’s fine,” she said — but it wasn’t.", LATIN),
    ("Price: £20, or 25 € in most shops; temperature 21°C ± 2.", LATIN),
    ("naïve,résumé,façade\nrôle,élite,forêt\n", LATIN),
    ("Hyvää päivää, mitä kuuluu? Kiitos, hyvää.", LATIN),
    (_STORY_FRENCH, (*LATIN, "utf-16-le", "utf-8-sig")),
    (_STORY_FRENCH * 4, LATIN),
    ("int main(void) { return 0; } /* déjà vu */\n" * 40, LATIN),
    # UTF-8
    ("plain ASCII needs no recognising", ("ascii", "utf-16-le", "utf-16-be", "utf-16")),
    ("联通", ("utf-8",)),
    ("한국어로 쓴 짧은 글입니다. 오늘은 날씨가 좋아요.", ("utf-8", "cp949", "utf-16-le")),
    ("Привет, как дела? 👍🏽 ¡Olé! 你好", ("utf-8",)),
)

NAMES = {
    "ascii": "UTF-8",
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "gb18030": "GB18030",
    "big5hkscs": "Big5",
    "cp932": "Shift_JIS",
    "euc_jp": "EUC-JP",
    "iso2022_jp": "ISO-2022-JP",
    "cp949": "EUC-KR",
    "cp1252": "Windows-1252",
}
"""What each encoding is called where it is recognised."""
