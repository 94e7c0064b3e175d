"""Ask one question and print the whole answer.

    python chat.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434.
"""

import os
import sys

import ollama

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")

answer = ollama.chat(model, messages=[{"role": "user", "content": "Why is the sky blue?"}])

print(answer.message.content)
print(f"({answer.prompt_eval_count} tokens read, {answer.eval_count} written, {answer.done_reason})")
