"""The OpenAI API, which Ollama serves on the same port."""
