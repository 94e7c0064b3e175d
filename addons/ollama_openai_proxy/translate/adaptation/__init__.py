"""What a model's server refuses of a call, and how the call is made instead.

`rules` reads a refusal and gives changes of the call (`changes` and the other modules of that name); `learned` remembers them.
"""
