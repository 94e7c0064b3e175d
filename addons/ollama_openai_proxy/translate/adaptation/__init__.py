"""What a model's server refuses of a call, and how the call is made instead.

`rules` reads a refusal and gives `changes`, `format_changes` and `message_changes`; `learned` remembers them for the next calls.
"""
