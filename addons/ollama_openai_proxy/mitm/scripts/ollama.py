"""Loads the addon into one of mitmproxy's tools. mitmproxy knows scripts only as files."""

from ollama_openai_proxy.mitm.script import OllamaScript

addons = [OllamaScript()]
