"""A small word vocabulary for tests of the word tokenizer, and sentences around it."""

WORDS = """
今天 天气 非常 不错 我们 公园 散步 中国 人民 科学 技术 模型 语言 自然 处理 学习 研究 大学
北京 上海 广州 深圳 问题 方法 时间 工作 生活 社会 经济 发展 历史 文化 教育 学生 老师 学校
公司 企业 市场 产品 服务 用户 数据 信息 系统 网络 手机 电脑 软件 互联网 新闻 记者 报道 政府
国家 世界 国际 地区 城市 农村 交通 汽车 火车 飞机 医院 医生 病人 药物 治疗 健康 运动 比赛
足球 篮球 电影 音乐 艺术 作品 小说 作者 读者 故事 人物 孩子 父母 家庭 朋友 爱情 结婚 房子
价格 投资 银行 股票 基金 管理 领导 组织 会议 法律 法院 警察 安全 军事 战争 和平 环境 能源
石油 电力 建筑 设计 工程 质量 标准 实验 理论 分析 结果 原因 影响 重要 主要 基本 一般 特别
""".split()  # noqa: SIM905
CHARACTERS = "".join(
    dict.fromkeys(
        "".join(WORDS)
        + "的了是在有和不这个一二三人大小上下来去说好看吧哪怎么样"
        + "abcdefghijklmnoprstuvwxy0123456789.,!?+-/()。，！？：、~"
    )
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# An empty line and U+2028 are entries of released files.
ENTRIES = [*SPECIAL, "", "\u2028", *CHARACTERS, *(f"##{c}" for c in CHARACTERS), *WORDS, "is", "##ing", "model"]

SENTENCES = [
    "今天天气非常不错，我们去公园散步吧。",
    "自然语言处理是C++和python的问题！",
    "",
    "   ",
    "bert is modeling。",
    "北京大学的学生[MASK]研究了 Transformer 模型",
    "e\u0301 ガ 한국 \u0130X\x00\u200b结果\ufe0f😀𠀀",
    "这" * 210 + "a" * 210,
]
