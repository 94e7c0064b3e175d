"""A small agent: the model gets two tools and calls them until it can answer. Each step is printed.

    python agent.py [MODEL [FOLDER [QUESTION]]]

It may list the files of one folder and read them, and nothing else. OLLAMA_HOST says where the proxy is, if not on
http://127.0.0.1:11434.
"""

import os
import sys
from pathlib import Path

import ollama

MAX_STEPS = 10
MAX_CHARACTERS = 4000

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")
folder = Path(sys.argv[2] if sys.argv[2:] else ".").resolve()
question = sys.argv[3] if sys.argv[3:] else "What is in this folder?"


def list_files() -> str:
    """List the names of all files in the folder, one on each line."""
    return "\n".join(sorted(path.name for path in folder.iterdir() if path.is_file()))


def read_file(name: str) -> str:
    """Read the beginning of a text file in the folder.

    Args:
        name: one of the names that list_files gives
    """
    path = (folder / name).resolve()
    if path.parent != folder:
        raise ValueError(f"{name} is not in the folder")
    return path.read_text(encoding="utf-8")[:MAX_CHARACTERS]


tools = {function.__name__: function for function in (list_files, read_file)}


def run(call: ollama.Message.ToolCall) -> str:
    """Call a tool. What goes wrong is told to the model, which may do better at the next step."""
    function = tools.get(call.function.name)
    if function is None:
        return f"error: there is no tool {call.function.name}"
    try:
        return function(**call.function.arguments)
    except (OSError, TypeError, ValueError) as error:
        return f"error: {error}"


messages: list[dict[str, str] | ollama.Message] = [
    {"role": "system", "content": "Answer from the files in the folder. Call tools until you know enough."},
    {"role": "user", "content": question},
]

for step in range(1, MAX_STEPS + 1):
    message = ollama.chat(model, messages=messages, tools=list(tools.values())).message
    messages.append(message)
    if not message.tool_calls:
        print(f"{step}. answer: {message.content}")
        break
    for call in message.tool_calls:
        result = run(call)
        print(f"{step}. {call.function.name}({dict(call.function.arguments)}): {len(result)} characters")
        messages.append({"role": "tool", "tool_name": call.function.name, "content": result})
else:
    sys.exit(f"no answer after {MAX_STEPS} steps")
