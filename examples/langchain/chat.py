"""A chat through LangChain: the whole answer, then one that is printed as it comes.

    pip install langchain-ollama
    python chat.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434; or give ChatOllama a base_url.
"""

import os
import sys

from langchain_ollama import ChatOllama

model = ChatOllama(model=sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo"), temperature=0)

answer = model.invoke([("system", "Answer in one sentence."), ("human", "Why is the sky blue?")])
print(answer.text)
print(f"({answer.usage_metadata['input_tokens']} tokens read, {answer.usage_metadata['output_tokens']} written)")

for part in model.stream("Why is grass green?"):
    print(part.text, end="", flush=True)
print()
