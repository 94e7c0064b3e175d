"""What users of mitmweb and mitmproxy see: content views, commands, and comments in the list of flows."""
