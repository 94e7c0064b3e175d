"""The Ollama API as a server: routes, endpoints, replies. Knows neither mitmproxy nor the SDK."""
