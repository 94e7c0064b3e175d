"""The OpenAI-compatible server behind translate mode, through the official SDK."""
