"""Make the model of `scripts/run`'s demonstration: what the model learns, its vocabulary, and its network."""
