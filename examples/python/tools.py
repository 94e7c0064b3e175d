"""Let the model call a function of this program, then answer with its result.

    python tools.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434. An agent that goes on until the model is done is in
examples/agent.
"""

import os
import sys

import ollama

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")


def temperature(city: str) -> str:
    """Say how warm it is in a city now.

    Args:
        city: the city's name
    """
    return {"Rome": "24 °C", "Oslo": "7 °C"}.get(city, "not known")


messages: list[dict[str, str] | ollama.Message] = [{"role": "user", "content": "How warm is it in Rome?"}]

# The SDK makes the tool's description from the function: its name, its docstring and its annotations.
answer = ollama.chat(model, messages=messages, tools=[temperature])
messages.append(answer.message)

for call in answer.message.tool_calls or []:
    if call.function.name == temperature.__name__:
        result = temperature(**call.function.arguments)
    else:
        result = f"there is no tool {call.function.name}"
    print(f"{call.function.name}({dict(call.function.arguments)}) = {result}")
    messages.append({"role": "tool", "tool_name": call.function.name, "content": result})

if answer.message.tool_calls:
    answer = ollama.chat(model, messages=messages)
print(answer.message.content)
