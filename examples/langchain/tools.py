"""A tool bound to a model of LangChain.

    pip install langchain-ollama
    python tools.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434; or give ChatOllama a base_url.
"""

import os
import sys

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama


@tool
def temperature(city: str) -> str:
    """Say how warm it is in a city now."""
    return {"Rome": "24 °C", "Oslo": "7 °C"}.get(city, "not known")


model = ChatOllama(model=sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")).bind_tools([temperature])

messages = [HumanMessage("How warm is it in Rome?")]
answer = model.invoke(messages)
messages.append(answer)

for call in answer.tool_calls:
    result = temperature.invoke(call)
    print(f"{call['name']}({call['args']}) = {result.text}")
    messages.append(result)

if answer.tool_calls:
    answer = model.invoke(messages)
print(answer.text)
