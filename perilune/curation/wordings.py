"""The wordings, English and Chinese, by which :mod:`perilune.curation.forms` knows the forms of questions.

Text is matched with full-width marks as ASCII.
"""

from __future__ import annotations

import re


def _rule(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.MULTILINE)


_START = r"(?:^|(?<=[.?!。;:,\n])|(?<=[\])}$]\s))[\s*#>\"'(\[-]*"
"""Where an instruction may begin: at the start, or after a mark."""
_LISTED = (
    r"(?:option|answer|choice|alternative|statement|letter|response|conclusion|expression|inequality|equation|box"
    r"|unit|word|term|symbol|sign|graph|figure|definition|description)s?"
)

CHOICE = _rule(
    r"\b(?:which|what)(?: one| ones| two| \w+){0,2} (?:of|among|from|in) (?:the )?(?:following|these"
    r"|those (?:listed|given)|(?:\w+ )?(?:options|choices|alternatives|answers|statements)(?: \w+)?"
    r" ?(?:below|given|listed|above|is|are|shown))",
    r"\b(?:which|what) (?:option|choice|alternative"
    r"|(?:following )?statements?\b[^.?!]{0,40}\b(?:true|false|correct))",
    _START + r"(?:please )?(?:choose|select|pick|circle|identify|mark|tick|indicate|find) (?:only )?"
    r"(?:the |one |an? |all )?(?:single |that |of the )*(?:correct|right|best|most \w+|appropriate|proper|wrong"
    r"|incorrect|false|true|odd)(?: \w+)? ?" + _LISTED,
    r"\b(?:choose|select|pick|answer) (?:one )?(?:from|of|among|between) (?:the )?(?:following|options|choices|list)",
    r"\b(?:answer|reply|respond)(?: only)? with (?:only |just )?(?:the|a|one|its) (?:\w+ )?(?:letter|option)",
    r"\b(?:letter|label) of (?:the|your) (?:\w+ )?(?:answer|option|choice)",
    r"(?:^|[.?!:\n]\s*)(?:answer |the )?(?:options|choices|alternatives)(?: are\b|\s*:)",
    r"^\W*multiple[- ]choice\W",
    r"\bodd one out\b",
    r"(?:下列|以下|下面|下述|上述|如下)[^。?!\n]{0,60}?(?:的(?:一项|选项)?是|哪|的有|的为|不是)",
    r"(?:^|[(\[【〔])\s*(?:单项|多项|不定项|单|多)?选(?:择)?(?:题)?\s*[:)\]】〕.]",
    r"(?:单选|多选|选择)题\s*[:)\]】]",
    r"(?:请)?(?:选出|选择|从[^。?!\n]{0,20}选)[^。?!\n]{0,12}(?:答案|选项|一项|说法|结论|序号|字母)",
    r"(?:选出|请选择)[^。?!\n]{0,4}(?:正确|错误)的\W|从[^。?!\n]{0,20}选(?:出|择)?(?:一个)?最",
    r"(?:哪|那)(?:一)?(?:个|项|些)?选项|选项中|的选项是|(?:四|三|五|几)个选项",
)
"""A choice is to be made, whether the options are marked or not."""

VALUE_OF_LIST = _rule(
    r"\bhow many of (?:the|these|those)\b",
    r"\b(?:sum|product|number|total|average|mean) of (?:all )?(?:the )?(?:following|these|those|them)",
    r"\b(?:their|its) (?:sum|product|total|average|mean|value)\b",
    r"个数(?:是|为|有)|有(?:多少|几)(?:个|种|对|条)|之和",
)
"""A value is made of what is listed: their sum, or how many there are."""

TASK = _rule(
    r"\A\W*(?:find|compute|calculate|determine|evaluate|solve|simplify|factor|sketch|graph|draw|prove|show|write"
    r"|express|state|explain|how (?:many|much|long|far|old)|what|when|where|who|if |list|estimate|use|verify|hence"
    r"|give)\b",
    r"\?\s*\Z",
    r"\A\W*(?:求|计算|证明|写出|解|画|判断|若|当)|多少|[吗呢]\W*\Z",
)
"""A list's item is a question of its own."""

MANY = _rule(
    r"\beach\b|\brespectively\b|\bthe following\b(?! (?:is|are|statement))|\ball of\b|下列各|以下各|分别|各题|各式",
    r":\s*\Z",
)
"""What is asked is asked of every item of a list."""

ASKS = _rule(
    r"\?|_{2,}|\(\s*\)|\b(?:which|what|how|who|when|where|why)\b|\b(?:equals?|is|are|be|by|to|of)\W*\Z",
    r"[是为有]\W*\Z|哪|多少|几|什么",
    r"\A\W*(?:name|identify|evaluate|simplify|compute|find|calculate|solve|determine)\b[^:]*[.:]\s*\Z",
)
"""What stands before a list of options asks something."""

AFTERWARDS = _rule(
    r"\b(?:how many|how much|how long|how far|what (?:is|was|are|do)|find|calculate|compute|determine)\b",
    r"多少|求|几(?:个|元|天)",
)
"""The question comes after the list: then the list is what it is about."""

LETTER = re.compile(
    r"\W*(?:(?:the )?(?:correct |right )?(?:options?|answers?|choices?)(?: is)?|选项?|答案?是?)?[\W_]*"
    r"(?:\\text(?:bf)?\{)?\W*([A-Ja-j](?:\s*,?\s*(?:and|和)?\s*[A-Ja-j]){0,4}|[①-⑩]+|[1-9]|i{1,3}|iv|v)(?![\w'])\W*",
    re.IGNORECASE,
)
"""An answer that is a label, or several."""

YES_NO = re.compile(
    r"\W*(?:\\(?:text|mathrm|textbf)\{)?\W*(?P<word>yes|no|true|false|correct|incorrect"
    r"|not (?:true|correct|necessarily|possible)|(?:never|always|sometimes) true|t|f|y|n|right|wrong|valid|invalid"
    r"|possible|impossible|it (?:is|does|can)(?: not)?|对|错|是|否|不是|正确|错误|不正确|对的"
    r"|错的|是的|不对|真|假|能|不能|可以|不可以|会|不会|成立|不成立|够|不够|够用|可能|不可能|√|×|✓|✔|✗|✘|✕|x)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
SURE_WORDS = frozenset(
    (
        "yes", "no", "true", "false", "correct", "incorrect", "对", "错", "是", "否", "不是", "正确", "错误", "不正确",
        "对的", "错的", "是的", "不对", "√", "×", "✓", "✔", "✗", "✘", "✕",
    )
)  # fmt: skip
"""Answers that are true/false whatever was asked; the others of YES_NO need a question of this form."""

TRUE_FALSE = _rule(
    r"\btrue (?:or|/) ?(?:is it )?false\b|\btrue/false\b|\bright\s?(?:or|/)\s?wrong\b"
    r"|\bcorrect\s?(?:or|/)\s?(?:incorrect|not|wrong)\b",
    r"\btrue or not\b|\bt\s?/\s?f\b|\by(?:es)?\s?(?:or|/)\s?n(?:o)?\b|\bagree or disagree\b|\btruth value\b"
    r"|\b[01] (?:for|if|means) (?:yes|no|true|false)\b",
    r"\bis (?:it|this|that|the (?:following |above )?(?:statement|claim|assertion))(?: \w+){0,4}"
    r" (?:true|false|correct|right|valid)\b",
    r"\bis it (?:always |ever |really |actually )?(?:true|possible|the case|correct|false) (?:that|for|to)\b",
    r"判断(?:题|正误|对错|真假)|(?:对|错|正确|真)还是(?:错|对|错误|假)|正确(?:与|还)否|是否(?:正确|成立|为真)|对不对|是不是|是真是假|真命题还是",
    r"(?:对|正确|成立|真)的?[吗么]|正确的?(?:打|画|写)|\(\s*(?:对|√)\s*/",
)
"""Says that it wants true or false."""

POLAR = _rule(
    r"(?:" + _START + r")(?:then |so |now |but |and |if so,? )?(?:is|are|was|were|does|do|did|can|could|will|would"
    r"|has|have|had|should|must|may|might|isn't|aren't|doesn't|don't|won't|can't)"
    r"\s(?!you\b|we (?:find|say about)\b)[^.?!\n]*\?",
    r"(?:,\s*|^|\b(?:then|so) )(?:is|are|does|do|can|will|has|must|could|did|was)\s(?!you\b)[^.?!,\n]*\?",
    _START + r"(?:determine|decide|check|state|tell|say|test|find out|see|verify|judge|assess|indicate)"
    r"(?: me| us)? (?:whether|if)\b",
    r"\bwhether or not\b|\b(?:determine|decide|state) whether\b",
    r"是否|能否|可否|会否|有没有|能不能|会不会|够不够|可不可以|吗\W*$|吗[?。]|^\W*判断(?!.{0,12}(?:形状|大小|类型|关系))|[。,;]\s*(?:请)?(?:试)?判断",
)
"""A question to answer with yes or no, if nothing else is asked."""

PROVE = _rule(
    _START + r"(?:(?:please|now|then|and|or|also|hence|thus|therefore|next|\w+ly|first|finally|so|must|to"
    r"|\(?[a-hivx\d]+[.)]|question \d+)[:,]?\s+){0,3}(?:(?:can|could|would|will) you |try to |we want to |we wish to "
    r"|you (?:must|should|need to|have to) |let us |let's )?(?:prove|disprove|re-?prove)\b"
    r"(?! (?:to (?:be|him|her|them|his)|useful|helpful|difficult|hard|too))",
    r"\b(?:prove|disprove|show|demonstrate|verify|establish|justify|deduce|argue|confirm|conclude)"
    r"(?:,? (?:by|using|with|without|via|from|in|directly|rigorously|formally|algebraically|geometrically|carefully"
    r"|analytically|combinatorially|also|hence|explicitly)\b[^.?!]{0,80}?)?,?:? that\b",
    r"\b(?:and|then|to|you|we|how|please|hence|or|by induction|induction,?) (?:prove|disprove)"
    r" (?:it|this|the|your|why|each|every|by|\$|\\)",
    _START + r"(?:\w+ly )?(?:verify|establish|justify|demonstrate|validate) (?:why |the |this |each |every "
    r"|algebraically )*(?:following |given |above |trigonometric |algebraic |vector |triangle )*(?:identit|inequalit"
    r"|theorem|lemma|claim|statement|formula|relation|equalit|property|law|proposition|(?:con|di)vergence|existence|uniqueness|continuity|correctness"
    r"|validity|\w*rationality)",
    _START + r"(?:show|verify) (?!your|all|me|us|each|every|work|how|steps|it|my|complete|full|details"
    r"|the (?:work|steps|process|calc|full|details|complete|answer|solution|result))[^.?!]*(?:\b(?:is|are|has|have"
    r"|holds|equals|converges|diverges|divides|exists|cannot)\b|[=<>≤≥≡]"
    r"|\\(?:le|ge|leq|geq|equiv|cong|parallel|perp|mid|neq)\b)",
    r"\b(?:give|write|provide|construct|find|present|complete|supply|sketch|outline|produce|devise|state|offer"
    r"|formulate)(?: out| down| up)?(?: me| us)? (?:the |a |an |your |another |two |its )?(?:[\w-]+,? ){0,3}"
    r"(?:proof|derivation)\b(?! of (?:purchase|age|identity|payment|concept|income|residen|work|insurance))",
    _START + r"(?:a |the )?(?:[\w-]+ )?(?:proof|derivation) (?:is (?:required|needed|expected)|(?:that|of|by) )",
    _START + r"(?:please |hence |now |then |from (?:first principles|this)[^.?!]{0,40},? )?derive\b"
    r"(?= (?:the|an?|this|that|its?|from|each|\w+'s|\w+ (?:formula|law|rule|identity|theorem|equation))\b)"
    r"(?! (?:the )?(?:value|number|function))",
    r"\b(?:and|then|to) derive (?:the|an?|this|that) ",
    _START + r"(?:please )?(?:explain|justify|argue|give (?:a|the) reason)\b[^.?!,]{0,40}? why\b",
    # Not the certificate (身份证明), and not what somebody has proved before (已证明).
    r"(?<!身份)(?<!学生)(?<!出生)(?<!收入)(?<!健康)(?<!毕业)(?<!在职)(?<!疾病)(?<!事实)(?<!实践)(?<!实验)(?<!已经)(?<!可以)"
    r"(?<![开凭的份张被已据])证明(?!书|材料|文件|人|信|件|了|复印|给|自己)",
    r"求证|试证|论证|(?:^|[。,;:])\s*(?:请)?(?:试)?推导|推导出|试说明[^。]{0,4}[^理为]|给出[^。]{0,10}(?:证明|推导)",
    r"反证法|(?:^|。)\s*证\s*:",
)
"""A proof or derivation is asked for, if no value is asked for besides."""

REPORTED = _rule(
    r"\b(?:records?|studies|study|surveys?|research|results?|data|tests?|reports?|figures?|statistics|he|she|they|it"
    r"|who|which|experts?|scientists?|graphs?|tables?|charts?|(?:want|wants|wanted|try|tries|trying|tried|hopes?"
    r"|hoping|decide[sd]?|pieces? of evidence|evidence|needed|enough) to|can|could|will|would|may|might)"
    r" (?:also |clearly )?(?:show|prove|demonstrate|verify|establish|argue|confirm|conclude|deduce)\b[^.?!]*"
)
"""Somebody in a story shows or proves something."""

NO_VALUE = re.compile(
    r"\W*(?:proof|see (?:the )?(?:proof|solution)|q\.?e\.?d|证明|见解析|略|证略|(?:it is )?prove[dn])", re.IGNORECASE
)
"""A reference answer that stands for a proof."""

ASKS_VALUE = _rule(
    r"(?:^|[.?!;:,]|\b(?:and|then|also|hence|to|\(?[a-h\d]\)))\s*(?:hence |then |also |thus |thereby |please "
    r"|\$[^$]*\$,? )*(?:find|determine|compute|calculate|evaluate|solve|fill in|what(?:'s| is| are| was| will| would)"
    r"|how (?:many|much|long|far|old|tall|fast|big)|give (?:the|its|your) (?:\w+ )?(?:value|answer|number|sum))\b"
    r"(?! (?:whether|if|that|out)\b)",
    r"\b(?:how many|how much|how long|how far|how old)\b|\bwhat (?:is|are|was) the (?:\w+ )?(?:value|number|sum|total"
    r"|area|length|probability|percentage|minimum|maximum|remainder|least|smallest|largest)",
    r"求(?!证|和公式|导公式)|多少|几(?:个|只|元|天|岁|次|人|分|米|种|本|条)|等于几|计算",
)
"""A value is asked for."""
