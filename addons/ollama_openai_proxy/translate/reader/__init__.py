"""The reader of servers' answers: whatever bytes an OpenAI-compatible server sends, as neutral events.

`stream_reader` is the entrance. Each other module knows one part of what servers do differently.
"""
