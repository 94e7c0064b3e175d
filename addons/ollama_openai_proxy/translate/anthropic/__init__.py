"""Anthropic ⇄ OpenAI: a `MessagesRequest` as the arguments of a chat completion."""
