"""Who may call: checks that come before any answer."""
