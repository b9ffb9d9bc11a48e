"""Invented Chinese sentences with nested entities, to try a model on without any data.

A grammar writes them: people, places and organizations are put together from characters and parts, so that most names
of one sample do not occur in another, while many of their characters occur in common words as well.
"""

import random
import re
from typing import Any

MIN_LENGTH = 8
MAX_LENGTH = 60

# The symbols whose texts are entities.
_LABELS = {
    "person": "person",
    "city": "place",
    "place": "place",
    "site": "place",
    "school": "organization",
    "agency": "organization",
    "company": "organization",
    "studio": "organization",
    "position": "position",
    "time": "time",
    "work": "work",
}

# Each symbol with its rules; <symbol> in a rule stands for one of that symbol's rules, and a rule that is listed twice
# is taken twice as often.
_GRAMMAR = """
sentence: <clause><end> <clause><end> <clause><end> <clause>，<clause><end> <clause>；<daily><end>
    <daily><end>
end: 。 。 。 ！ ？ ……
clause: <person_of><speech>，<opinion> <time>，<person_of>在<place>发布了<book>
    <person_of>于<time>出任<organization><position> <organization>将在<time>公布<matter>
    <organization>与<organization>签订了<matter> <person>和<person>一起去了<place>
    <time><organization>在<place>成立 <person>毕业于<school>，现任<company><position>
    记住，<book>的作者是<person> <place>的居民<time>收到了<matter> <person>写的<book>卖了<one><digit>万册
    <time>从<place>到<place>的列车晚点 <agency>提醒，<place><time>有大雨
    <organization>聘请<person>担任<position> “<opinion>。”<person_of><speech>
    <person>出生在<place>，<time>加入<organization> <company>的<position>换成了<person>
    <position>们都读过<book> <person>、<person>和<person>获得了奖金 <place>到<site>只要<one><digit>分钟
    据<organization>介绍，<opinion> <person>（<time>）：<opinion> <organization>(<latin>)的<matter>已经完成
    他在<place>见到了<person_of>
daily: <who><when><state>，<advice> <who><state>，<advice> <advice>，<who><when><state>
    <who><when><state>，<who>也<state>
who: 我 大家 孩子们 他的朋友 那家公司 这所大学 附近的银行 妈妈 隔壁的老人 一个年轻人 新来的同学
when: 总是 马上 常常 有时候 一直 从来都 终于 突然
state: 很高兴 不想出门 在路边等车 觉得水太冷 找到了方法 喜欢白色的花 关上了门 买了<one>斤苹果 唱起了歌
    忘了带伞 安静下来 走了<digit>.<one>公里 没有说话 看着远方的山 把书放在桌上 用iPhone拍了照片
advice: 天气真不错 这个办法很简单 时间过得真快 明天再说吧 城市的夜晚很美 周围没有人 任何事都要小心
    许多问题没有答案 江水慢慢流过 网速只有<one>Mb 石头很重 高山上有雪 长安静的路不好找 程序又出错了
person_of: <organization><position><person> <person> <person> <position><person> 来自<place>的<person>
matter: 合作协议 新产品 招聘计划 年度报告 调查结果 安全检查 公开课 扩建项目 培训方案
speech: 表示 说 介绍说 指出 认为 告诉大家
opinion: 这项工作很重要 价格还会上涨 大家要注意安全 效果比想象的好 问题已经解决 明年会更好 还需要一些时间
    合同金额是<one><digit>万元 参加人数超过<one><digit><digit>人 成绩提高了<digit>.<digit>%
book: 小说《<work>》 新书《<work>》 电影《<work>》 《<work>》 纪录片《<work>》
work: <title>
title: <mood>的<thing> <thing>与<thing> <city><thing> <person>传 <mood>的<thing> 我的<thing>
mood: 沉默 遥远 金色 最后 温柔 迷失 流动 无声 永恒 孤独
thing: 海洋 故乡 城市 春天 往事 星空 河流 时光 来信 夜晚 花园 列车 少年 雪山
time: <year> <day> <day> <one>点<one><digit>分
year: <hanzi>年前 20<digit><digit>年 19<digit><digit>年 20<digit><digit>年<one>月 20<digit><digit>年1<digit>月
day: <one>月<one>日 <one>月2<digit>日 昨天上午 今天下午 本周<weekday> 上周<weekday>晚上 去年<season>
weekday: 一 二 三 四 五 六 日
season: 春天 夏天 秋天 冬天 年底
position: <job> <job> <job> <rank><job> <rank><job>
rank: 副 首席 高级 前任
job: 经理 总裁 教授 校长 院长 主任 记者 工程师 研究员 局长 教练 设计师 会计 编辑 律师
organization: <company> <company> <school> <agency> <studio>
company: <name><trade>公司 <name><trade>有限公司 <name>集团 <city><name><trade>公司 <name>银行 <city>农商银行
name: <brand><brand> <brand><brand> <brand><brand> <latin>
trade: 科技 医药 建筑 食品 能源 汽车 电子 传媒 物流 软件 钢铁 农业
latin: <syllable><syllable> <syllable><syllable><syllable> T<syllable> M<syllable>
syllable: ka lo mi nu re so ti vo xa zen
brand: 华 信 达 通 宏 远 盛 泰 恒 瑞 鑫 源 康 乐 美 佳 联 创 思 维 智 慧 星 辰 光 明 天 禾 润 泽 博 雅 启 航
    新 锐 顺 丰 安 邦 德 仁
school: <brand><brand>大学 <city>第<hanzi>中学 <city>实验小学 <city>师范学院 <brand><brand>理工大学
agency: <city>教育局 <city>公安局 <city>人民医院 <city>图书馆 <city>气象台 <school>附属医院 <school>出版社
studio: <person>工作室 <person>研究室
place: <city> <city> <city><land><water>区 <city><land><water>镇 <city><land><water>村 <site>
city: <land><water>市 <land><water>市 <land><water>县 <land><water>省
site: <land><water>火车站 <land><water>公园 <land><water>广场 <land><water>机场 <land><land>路<one><digit>号
land: 东 南 西 北 上 中 下 大 新 安 宁 清 临 江 河 海 湖 山 川 云 青 白 金 银 石 龙 凤 永 长 平 和 乐 丰 阳 阴
    春
water: 州 阳 川 江 山 海 安 宁 城 陵 泉 口 原 林 水 源 昌 平 通 关 桥 田 岭 湾 门
person: <surname><given> <surname><given><given> <surname><given><given>
surname: 王 李 张 刘 陈 杨 黄 赵 周 吴 徐 孙 马 朱 胡 郭 何 高 林 罗 郑 梁 谢 宋 唐 许 韩 冯 邓 曹 彭 曾 田 董
    潘 袁 于 余 叶 杜 苏 魏 程 吕 丁 沈 任 姚 卢 姜 欧阳 上官
given: 明 文 华 建 国 志 强 伟 芳 娜 敏 静 丽 军 勇 杰 涛 超 秀 英 霞 平 刚 桂 云 海 飞 鹏 宇 浩 然 子 轩 雨
    晨 欣 怡 梦 琪 佳 雪 思 远 航 天 成 博 雅 若 兰 春 梅 冬 青 小 红 大 山 永 福 长 安
one: 1 2 3 4 5 6 7 8 9
digit: 0 1 2 3 4 5 6 7 8 9
hanzi: 一 二 三 四 五 六 七 八 九 十
"""

_SYMBOL = re.compile(r"<(\w+)>")


def _rules(grammar: str) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = {}
    symbol = ""
    for word in grammar.split():
        if word.endswith(":"):
            symbol = word.removesuffix(":")
            rules[symbol] = []
        else:
            rules[symbol].append(word)
    return rules


_RULES = _rules(_GRAMMAR)


def generate_samples(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Invent Chinese sentences of 8 to 60 characters with entities, nested ones included; about one in six has none.

    Args:
        number: how many.
        seed: the same seed and number give the same sentences; a smaller number gives the first of them.

    Returns:
        Dicts ``{"text", "entities"}`` with entities ``{"start", "end", "label"}``, ``end`` exclusive, sorted; the
        labels are organization, person, place, position, time and work.
    """
    source = random.Random(seed)
    samples: list[dict[str, Any]] = []
    while len(samples) < number:
        text, spans = _write("sentence", source)
        if MIN_LENGTH <= len(text) <= MAX_LENGTH:
            entities = [{"start": start, "end": end, "label": label} for start, end, label in sorted(spans)]
            samples.append({"text": text, "entities": entities})
    return samples


def _write(symbol: str, source: random.Random) -> tuple[str, set[tuple[int, int, str]]]:
    """A text of the symbol and its (start, end, label) spans."""
    parts: list[str] = []
    spans: set[tuple[int, int, str]] = set()
    length = 0
    # Of the odd pieces each is a symbol, of the even ones each is a text.
    for index, piece in enumerate(_SYMBOL.split(source.choice(_RULES[symbol]))):
        text, inner = _write(piece, source) if index % 2 else (piece, set())
        spans.update((start + length, end + length, label) for start, end, label in inner)
        parts.append(text)
        length += len(text)
    if symbol in _LABELS:
        spans.add((0, length, _LABELS[symbol]))
    return "".join(parts), spans
