// Calls every method of the official client once, against the server whose URL is the argument, and prints what came of
// each as one JSON object. Times are left out, so that the results of two servers can be compared.
import { Ollama } from "ollama";

// The client itself writes to it.
console.log = console.error;

const client = new Ollama({ host: process.argv[2], headers: { Authorization: "Bearer marked", "X-Anything": "Any Thing" } });
const messages = [{ role: "user", content: "Why is the sky blue? Grüße, 漢字" }];

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

async function abort() {
  const parts = [];
  try {
    for await (const part of await client.chat({ model: "tiny", messages, stream: true })) {
      parts.push(part);
      client.abort();
    }
  } catch (error) {
    return { parts: parts.length, error: error.name };
  }
}

const calls = {
  version: () => client.version(),
  list: () => client.list(),
  ps: () => client.ps(),
  show: () => client.show({ model: "tinytools" }),
  chat: () => client.chat({ model: "tiny", messages, options: { seed: 1 } }),
  "chat streamed": async () => collect(await client.chat({ model: "tiny", messages, stream: true })),
  generate: () => client.generate({ model: "tiny", prompt: "Why?", system: "Grüße" }),
  "generate streamed": async () => collect(await client.generate({ model: "tiny", prompt: "Why?", stream: true })),
  embed: () => client.embed({ model: "tiny", input: ["one", "two"] }),
  embeddings: () => client.embeddings({ model: "tiny", prompt: "one" }),
  pull: () => client.pull({ model: "another" }),
  "pull streamed": async () => collect(await client.pull({ model: "another", stream: true })),
  push: () => client.push({ model: "tiny" }),
  "push streamed": async () => collect(await client.push({ model: "tiny", stream: true })),
  create: () => client.create({ model: "made", from: "tiny" }),
  "create streamed": async () => collect(await client.create({ model: "made", from: "tiny", stream: true })),
  copy: () => client.copy({ source: "tiny", destination: "copied" }),
  delete: () => client.delete({ model: "tinytools" }),
  "list after all that": () => client.list(),
  "systemone that this version does not have": () => client.systemone({ model: "tiny", questions: [] }),
  "chat with an unknown model": () => client.chat({ model: "nonsense", messages }),
  "chat streamed by an unknown model": async () => collect(await client.chat({ model: "nonsense", messages, stream: true })),
  "chat that is refused": () => client.chat({ model: "tiny", messages, think: true }),
  abort,
};

const timeless = (key, value) => (key === "created_at" ? undefined : value);
const results = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    results[name] = await call();
  } catch (error) {
    results[name] = { error: error.message, status: error.status_code };
  }
}

// What only the client's own methods call, and what asks ollama.com.
const others = ["constructor", "encodeImage", "fileExists", "processStreamableRequest", "webSearch", "webFetch"];
const methods = [Ollama.prototype, Object.getPrototypeOf(Ollama.prototype)].flatMap(Object.getOwnPropertyNames);
const called = Object.keys(calls).map((name) => name.split(" ")[0]);
const missed = methods.filter((name) => !called.includes(name) && !others.includes(name));

process.stdout.write(JSON.stringify({ results, missed }, timeless));
