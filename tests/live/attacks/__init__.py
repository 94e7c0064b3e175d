"""Attacks on a running proxy, by their kinds: through each door, in each mode, counted in CPU time, bytes and elements."""
