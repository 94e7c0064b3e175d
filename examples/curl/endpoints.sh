#!/bin/sh
# The main endpoints of the Ollama API, each with a call that can be copied.
#
#   sh endpoints.sh [MODEL]
#
# OLLAMA_HOST says where the proxy is. If the proxy wants a key, add to each call: -H "Authorization: Bearer $KEY"
set -eu

host="${OLLAMA_HOST:-http://127.0.0.1:11434}"
model="${1:-${MODEL:-demo}}"

echo "# Which version?"
curl -sS "$host/api/version"

echo; echo "# Which models?"
curl -sS "$host/api/tags"

echo; echo "# What can this model do?"
curl -sS "$host/api/show" -d "{\"model\": \"$model\"}"

echo; echo "# A chat, streamed: one frame of JSON on each line"
curl -sSN "$host/api/chat" -d @- <<JSON
{"model": "$model", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
JSON

echo; echo "# A chat in one piece, with options"
curl -sS "$host/api/chat" -d @- <<JSON
{
  "model": "$model",
  "messages": [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "Why is the sky blue?"}
  ],
  "options": {"temperature": 0, "num_predict": 100},
  "stream": false
}
JSON

echo; echo "# A chat with a tool that the model may call"
curl -sS "$host/api/chat" -d @- <<JSON
{
  "model": "$model",
  "messages": [{"role": "user", "content": "How warm is it in Rome?"}],
  "tools": [{
    "type": "function",
    "function": {
      "name": "temperature",
      "description": "Say how warm it is in a city now.",
      "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    }
  }],
  "stream": false
}
JSON

echo; echo "# An answer that fits a JSON schema"
curl -sS "$host/api/chat" -d @- <<JSON
{
  "model": "$model",
  "messages": [{"role": "user", "content": "Tell me about Switzerland, as JSON."}],
  "format": {"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]},
  "stream": false
}
JSON

echo; echo "# A prompt without a conversation"
curl -sS "$host/api/generate" -d "{\"model\": \"$model\", \"prompt\": \"Why is the sky blue?\", \"stream\": false}"

echo; echo "# Embeddings"
curl -sS "$host/api/embed" -d "{\"model\": \"$model\", \"input\": [\"first text\", \"second text\"]}"

echo; echo "# Which models are in use?"
curl -sS "$host/api/ps"

echo; echo "# The same model through OpenAI's API"
curl -sS "$host/v1/chat/completions" -d @- <<JSON
{"model": "$model", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
JSON

echo; echo "# Is the proxy well?"
curl -sS "$host/healthz"
echo
