"""Lets unmodified Ollama clients talk to any OpenAI-compatible server, or to an Ollama behind a mangling proxy."""

__version__ = "0.2.0"
