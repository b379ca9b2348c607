"""The words that the suite is made of, in English and Japanese.

Things are classes that every detector trained on COCO knows, by COCO's names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thing:
    """`counter`: the Japanese counting word. `alive`: of an animal Japanese says いる, not ある."""

    name: str
    plural: str
    ja: str
    counter: str
    alive: bool = False


@dataclass(frozen=True)
class Word:
    """One word or phrase in both languages."""

    en: str
    ja: str


THINGS = (
    Thing("cat", "cats", "猫", "匹", True),
    Thing("car", "cars", "車", "台"),
    Thing("apple", "apples", "りんご", "個"),
    Thing("chair", "chairs", "椅子", "脚"),
    Thing("bird", "birds", "鳥", "羽", True),
    Thing("suitcase", "suitcases", "スーツケース", "個"),
    Thing("boat", "boats", "ボート", "艘"),
    Thing("clock", "clocks", "時計", "個"),
    Thing("horse", "horses", "馬", "頭", True),
    Thing("umbrella", "umbrellas", "傘", "本"),
    Thing("bus", "buses", "バス", "台"),
    Thing("vase", "vases", "花瓶", "個"),
    Thing("dog", "dogs", "犬", "匹", True),
    Thing("bicycle", "bicycles", "自転車", "台"),
    Thing("banana", "bananas", "バナナ", "本"),
    Thing("couch", "couches", "ソファ", "台"),
    Thing("sheep", "sheep", "羊", "匹", True),
    Thing("backpack", "backpacks", "リュックサック", "個"),
    Thing("airplane", "airplanes", "飛行機", "機"),
    Thing("cup", "cups", "コップ", "個"),
    Thing("cow", "cows", "牛", "頭", True),
    Thing("book", "books", "本", "冊"),
    Thing("motorcycle", "motorcycles", "オートバイ", "台"),
    Thing("bench", "benches", "ベンチ", "台"),
    Thing("elephant", "elephants", "象", "頭", True),
    Thing("kite", "kites", "凧", "枚"),
    Thing("cake", "cakes", "ケーキ", "個"),
    Thing("bowl", "bowls", "ボウル", "個"),
    Thing("bear", "bears", "熊", "頭", True),
    Thing("teddy bear", "teddy bears", "テディベア", "個"),
)

COLOURS = (
    Word("red", "赤い"),
    Word("blue", "青い"),
    Word("green", "緑色の"),
    Word("yellow", "黄色い"),
    Word("purple", "紫色の"),
    Word("pink", "ピンク色の"),
    Word("black", "黒い"),
    Word("white", "白い"),
    Word("orange", "オレンジ色の"),
    Word("brown", "茶色い"),
)

NUMBERS = {
    2: Word("two", "二"),
    3: Word("three", "三"),
    4: Word("four", "四"),
    5: Word("five", "五"),
    6: Word("six", "六"),
}

# GenEval's word, how it is said in English, and in Japanese.
POSITIONS = (
    ("left of", Word("to the left of", "左")),
    ("right of", Word("to the right of", "右")),
    ("above", Word("above", "上")),
    ("below", Word("below", "下")),
)

STYLES = (
    Word("a watercolour painting of {}", "{}の水彩画"),
    Word("an oil painting of {} with thick brush strokes", "厚塗りの筆致で描いた{}の油絵"),
    Word("a pencil sketch of {}", "{}の鉛筆スケッチ"),
    Word("a black and white photograph of {}", "{}の白黒写真"),
    Word("a stained glass window that shows {}", "{}を表したステンドグラス"),
    Word("a Japanese woodblock print of {}", "{}の浮世絵"),
    Word("a pixel art picture of {}", "{}のドット絵"),
    Word("a children's book illustration of {}", "{}の絵本の挿絵"),
    Word("a paper cut-out collage of {}", "{}の切り絵"),
    Word("a low-poly 3D rendering of {}", "{}のローポリ3Dレンダリング"),
)

SETTINGS = (
    Word("a quiet village square in the early morning", "早朝の静かな村の広場"),
    Word("a wide sandy beach on a windy afternoon", "風の強い午後の広い砂浜"),
    Word("an old railway station after the rain", "雨上がりの古い駅"),
    Word("a snowy mountain meadow under a clear sky", "晴れた空の下の雪の高原"),
    Word("a busy market street at noon", "昼のにぎやかな市場の通り"),
    Word("a small harbour at sunset", "夕暮れの小さな港"),
    Word("a large empty studio with grey walls", "灰色の壁の広くて何もないスタジオ"),
    Word("a garden full of flowers in spring", "春の花でいっぱいの庭"),
    Word("a forest clearing with tall trees around it", "高い木々に囲まれた森の空き地"),
    Word("a rooftop terrace above a big city", "大都会を見下ろす屋上のテラス"),
)

# Three lengths: about 35, 60 and 85 words; the last goes beyond the 77 tokens that CLIP reads.
# first and third are coloured, many is counted, last stands at the very end.
LONG = (
    Word(
        "A photo of {setting}. In the foreground there is {first}, next to {second}. A little "
        "further back there is {third}, and {many} can be seen in the distance.",
        "{setting}の写真。手前に{first}があり、その隣に{second}がある。"
        "少し奥には{third}があり、遠くに{many}が見える。",
    ),
    Word(
        "A photo of {setting}, taken from eye level. In the foreground there is {first}, next to "
        "{second}, and both of them cast long, soft shadows on the ground. A little further back "
        "there is {third}, half in the light and half in the shade, and {many} can be seen in the "
        "distance. The picture is sharp from front to back, and its colours are natural.",
        "目の高さから撮った、{setting}の写真。手前に{first}があり、その隣に{second}があって、"
        "どちらも地面に長く柔らかな影を落としている。少し奥には{third}があり、"
        "半分は光の中、半分は影の中にある。遠くに{many}が見える。"
        "手前から奥までくっきりとしていて、色は自然である。",
    ),
    Word(
        "A photo of {setting}, taken from eye level by a careful photographer with a good lens. "
        "The air is clear, the light comes from one side, and nothing in the picture is blurred. "
        "In the foreground there is {first}, next to {second}, and both of them cast long, soft "
        "shadows on the ground. A little further back there is {third}, half in the light and half "
        "in the shade. The picture is sharp from front to back, and its colours are natural. In "
        "the distance, small but easy to make out, one can see {many}.",
        "丁寧な写真家が良いレンズを使い、目の高さから撮った、{setting}の写真。空気は澄み、"
        "光は横から差し、ぼやけているところはどこにもない。手前に{first}があり、"
        "その隣に{second}があって、どちらも地面に長く柔らかな影を落としている。"
        "少し奥には{third}があり、半分は光の中、半分は影の中にある。"
        "手前から奥までくっきりとしていて、色は自然である。"
        "遠くには、小さいがはっきりと{many}が見える。",
    ),
)
