"""Ollama ⇄ OpenAI, as pure functions and state machines without I/O.

A request goes `ChatRequest` → `chat_parameters` → the SDK's arguments; an answer comes back as chunks → `AnswerReader` →
`Delta`s, from which `schemas.ollama.frames` makes bytes.

Source: docs/wire.md#from-ollama-to-a-back-end and docs/wire.md#from-a-back-end-to-ollama.
"""
