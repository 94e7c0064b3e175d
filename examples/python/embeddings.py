"""Find the sentence that is nearest to a question. The model must be one for embeddings.

    python embeddings.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434.
"""

import math
import os
import sys

import ollama

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")

sentences = ["The cat sleeps on the sofa.", "Rain is expected tomorrow.", "The train leaves at noon."]

# One call for all texts. Every vector has length 1, so the sum of products is the cosine.
question, *vectors = ollama.embed(model, input=["What will the weather be?", *sentences]).embeddings

for sentence, vector in zip(sentences, vectors, strict=True):
    print(f"{math.sumprod(question, vector):6.3f}  {sentence}")
