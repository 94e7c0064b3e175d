"""Fix mode: what has to be put right about a request before a real Ollama understands it."""
