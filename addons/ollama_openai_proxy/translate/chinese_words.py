"""Puts the words by which Chinese vendors refuse a call into the English ones that the rules look for."""

from __future__ import annotations

import re

_WORDS = {
    "不支持": "not supported",
    "不允许": "not allowed",
    "不能为空": "must not be empty",
    "不能": "must not",
    "不可": "must not",
    "不合法": "invalid",
    "非法": "invalid",
    "无效": "invalid",
    "有误": "invalid",
    "必须": "must be",
    "超过": "exceed",
    "超出": "exceed",
    "超长": "too long",
    "过长": "too long",
    "最大": "maximum",
    "上限": "maximum",
    "不大于": "at most",
    "小于等于": "less than or equal to",
    "大于等于": "greater than or equal to",
    "小于": "less than",
    "大于": "greater than",
    "范围": "range",
    "长度": "length",
    "上下文": "context",
    "参数": "parameter",
    "字段": "field",
    "数组": "array",
    "输入": "input",
    "输出": "output",
    "系统": "system",
    "用户": "user",
    "助手": "assistant",
    "角色": "role",
    "消息": "message",
    "第一条": "first",
    "最后一条": "last",
    "交替": "alternate",
    "回传": "passed back",
    "缺少": "missing",
    "流式": "stream",
    "思考": "thinking",
    "关闭": "disable",
    "工具": "tool",
    "模型": "model",
    "为空": "empty",
    "是": "is",
    "\uff0c": ",",
    "\u3002": ". ",
    "\uff1a": ":",
    "\uff1b": ";",
    "\u3001": ",",
    "\uff08": "(",
    "\uff09": ")",
}
"""The longer of two that begin alike comes first."""
_ANY = re.compile("|".join(map(re.escape, _WORDS)))
_BLANKS = re.compile(r"  +")


def in_english(text: str) -> str:
    """The text with the words that the rules look for in English; a text in ASCII stays as it is."""
    if text.isascii():
        return text
    replaced, count = _ANY.subn(lambda match: f" {_WORDS[match[0]]} ", text)
    return _BLANKS.sub(" ", replaced) if count else text
