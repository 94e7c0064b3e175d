"""The script that the sub-commands `web`, `dump` and `tui` give to mitmproxy, as addons/ollama.py in a checkout."""
