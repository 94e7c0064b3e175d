"""Attacks on the proxy, one file for each kind."""
