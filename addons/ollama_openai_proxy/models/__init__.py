"""The models that clients can use: what the back ends list, what the models file says, what clients made."""
