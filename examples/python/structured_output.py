"""Get an answer that fits a Pydantic model.

    python structured_output.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434.
"""

import os
import sys

import ollama
from pydantic import BaseModel

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")


class Country(BaseModel):
    """What the answer is to tell."""

    name: str
    capital: str
    languages: list[str]


answer = ollama.chat(
    model,
    messages=[{"role": "user", "content": "Tell me about Switzerland, as JSON."}],
    format=Country.model_json_schema(),
)

country = Country.model_validate_json(answer.message.content or "")
print(f"{country.capital} is the capital of {country.name}, where they speak {', '.join(country.languages)}.")
