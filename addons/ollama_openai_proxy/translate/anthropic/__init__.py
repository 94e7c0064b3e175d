"""Anthropic ⇄ OpenAI: a `MessagesRequest` as the arguments of a chat completion, and `Delta`s as the events of a message."""
