// Print an answer as it comes.
//
//   npm install
//   node streaming.js [MODEL]
//
// OLLAMA_HOST says where the proxy is; this client does not read it by itself.
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.OLLAMA_HOST ?? "http://127.0.0.1:11434" });
const model = process.argv[2] ?? process.env.MODEL ?? "demo";

const messages = [{ role: "user", content: "Why is the sky blue?" }];
for await (const part of await client.chat({ model, messages, stream: true })) {
  process.stdout.write(part.message.content);
}
process.stdout.write("\n");
