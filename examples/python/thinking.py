"""Print what the model thinks apart from what it says. The model must be one that thinks.

    python thinking.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434.
"""

import os
import sys

import ollama

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")

messages = [{"role": "user", "content": "How many r are in strawberry?"}]
thinking = False

# Besides True and False there are "low", "medium" and "high".
for part in ollama.chat(model, messages=messages, think=True, stream=True):
    if part.message.thinking:
        print("" if thinking else "thinking: ", part.message.thinking, sep="", end="", flush=True)
        thinking = True
    if part.message.content:
        print("\nanswer: " if thinking else "", part.message.content, sep="", end="", flush=True)
        thinking = False
print()
