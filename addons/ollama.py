"""The script that mitmproxy loads: `mitmdump -s addons/ollama.py` (or mitmweb, or mitmproxy).

mitmproxy puts this folder first on its module path, so the package beside this file is found without being installed.
"""

from ollama_openai_proxy.mitm.script import OllamaScript

addons = [OllamaScript()]
