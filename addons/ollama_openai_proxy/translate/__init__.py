"""Ollama ⇄ OpenAI, as pure functions and state machines without I/O.

A request goes `ChatRequest` → `chat_parameters` → the SDK's arguments; an answer comes back as chunks → `AnswerReader` →
`Delta`s, from which `wire.frames` makes bytes. Source: wire reference §9.3 and §9.4.
"""
