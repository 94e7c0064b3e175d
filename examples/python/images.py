"""Ask what is in a picture. The model must be one that sees.

    python images.py [MODEL [PICTURE]]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434.
"""

import os
import sys
from pathlib import Path

import ollama

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")
picture = Path(sys.argv[2]) if sys.argv[2:] else Path(__file__).with_name("red.png")

# An image is a path, its bytes, or base64.
answer = ollama.chat(model, messages=[{"role": "user", "content": "Which colour is this?", "images": [picture]}])

print(answer.message.content)
