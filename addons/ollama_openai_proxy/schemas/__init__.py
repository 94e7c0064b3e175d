"""Ollama's wire format: its requests as validated objects, its frames and errors as bytes. Pure; knows no server."""
