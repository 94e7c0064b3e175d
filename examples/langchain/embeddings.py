"""Embeddings through LangChain, searched by its own store in memory. The model must be one for embeddings.

    pip install langchain-ollama numpy
    python embeddings.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434; or give OllamaEmbeddings a base_url.
"""

import os
import sys

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ollama import OllamaEmbeddings

embeddings = OllamaEmbeddings(model=sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo"))

store = InMemoryVectorStore(embeddings)
store.add_texts(["The cat sleeps on the sofa.", "Rain is expected tomorrow.", "The train leaves at noon."])

for document, similarity in store.similarity_search_with_score("What will the weather be?", k=3):
    print(f"{similarity:6.3f}  {document.page_content}")
