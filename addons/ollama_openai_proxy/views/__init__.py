"""What users of mitmweb and mitmproxy see."""
