"""Ollama's requests as the parameters of OpenAI's calls."""
