"""The words by which `refusal_text` tells what a word of a refusal is."""

import re

REFUSING = frozenset(
    [
        "unsupported",
        "unknown",
        "unrecognized",
        "unrecognised",
        "unexpected",
        "extra",
        "unavailable",
        "deprecated",
        "forbidden",
        "incompatible",
        "disallowed",
        "extra_forbidden",
    ]
)
NEGATED = frozenset(
    [
        "work",
        "possible",
        "supported",
        "support",
        "supports",
        "permitted",
        "permit",
        "allowed",
        "allow",
        "accepted",
        "accept",
        "available",
        "recognized",
        "recognised",
        "implemented",
        "compatible",
        "applicable",
        "enabled",
        "valid",
    ]
)
NEGATED_AFTER_MODAL = frozenset(
    [
        "specified",
        "set",
        "used",
        "use",
        "combined",
        "provided",
        "passed",
        "sent",
        "given",
        "included",
        "present",
        "unset",
        "disabled",
    ]
)
MODAL = frozenset({"can", "may", "must", "should"})
BETWEEN_NOT = frozenset(
    [
        "yet",
        "currently",
        "be",
        "is",
        "been",
        "both",
        "longer",
        "also",
        "officially",
        "simultaneously",
        "to",
        "the",
        "one",
        "together",
    ]
)
ONLY = frozenset(
    [
        "supported",
        "available",
        "allowed",
        "accepted",
        "permitted",
        "valid",
        "supports",
        "accepts",
        "allows",
        "support",
        "accept",
        "allow",
        "be",
    ]
)
PARAMETER_WORDS = frozenset(
    ["param", "parameter", "arg", "argument", "keyword", "field", "property", "option", "input", "kwarg", "attribute"]
)
BETWEEN = frozenset(
    [
        "a",
        "an",
        "any",
        "api",
        "are",
        "arg",
        "argument",
        "arguments",
        "args",
        "be",
        "been",
        "body",
        "both",
        "by",
        "can",
        "chat",
        "completion",
        "completions",
        "currently",
        "do",
        "does",
        "either",
        "feature",
        "field",
        "fields",
        "following",
        "for",
        "found",
        "function",
        "has",
        "in",
        "input",
        "inputs",
        "invalid",
        "is",
        "it",
        "json",
        "key",
        "keys",
        "keyword",
        "kwargs",
        "model",
        "models",
        "must",
        "may",
        "name",
        "names",
        "nor",
        "of",
        "on",
        "one",
        "openai",
        "option",
        "options",
        "or",
        "and",
        "param",
        "parameter",
        "parameters",
        "params",
        "payload",
        "properties",
        "property",
        "provided",
        "received",
        "request",
        "requested",
        "s",
        "should",
        "specified",
        "specifying",
        "supplied",
        "support",
        "such",
        "that",
        "the",
        "these",
        "this",
        "those",
        "to",
        "type",
        "types",
        "use",
        "used",
        "value",
        "values",
        "was",
        "were",
        "when",
        "with",
        "yet",
        "you",
        "your",
        "and/or",
    ]
)
ELSEWHERE = re.compile(r"did you mean|\binstead\b|\bplease\b|\buse\b|\btry\b|\bdynamically\b", re.IGNORECASE)
"""What follows these words is advice."""
PUNCTUATION = frozenset(":,-()[]{}'\"`=<>|*")
QUOTES = frozenset("'\"`")
PATH_HEADS = frozenset({"body", "parameter", "parameters", "params", "$", "request"})
EVERYDAY_EXCEPTIONS = frozenset({"logprobs", "dimensions"})
"""Names without an underscore that are no words of everyday language; `dimensions` is one that no other sentence speaks of."""
FURTHER_SPELLINGS = {
    # vLLM, of models with Mistral's tokenizer and of embedding models.
    "chat_template": "chat_template_kwargs",
    "matryoshka": "dimensions",
}
NOT_PARAMETERS = frozenset({"model", "messages", "input", "prompt", "suffix"})
