"""Ollama's requests as validated objects, and its frames and errors as bytes."""
