"""Ollama ⇄ OpenAI, as pure functions and state machines without I/O.

A request goes `ChatRequest` → `chat_parameters` → the SDK's arguments; an answer comes back as bytes → `reader` →
neutral `events` → one of the `writers` → bytes.

Source: docs/wire.md#from-ollama-to-a-back-end and docs/wire.md#from-a-back-end-to-ollama.
"""
