// Ask one question and print the whole answer.
//
//   npm install
//   node chat.js [MODEL]
//
// OLLAMA_HOST says where the proxy is; this client does not read it by itself.
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.OLLAMA_HOST ?? "http://127.0.0.1:11434" });
const model = process.argv[2] ?? process.env.MODEL ?? "demo";

const answer = await client.chat({ model, messages: [{ role: "user", content: "Why is the sky blue?" }] });

console.log(answer.message.content);
console.log(`(${answer.prompt_eval_count} tokens read, ${answer.eval_count} written, ${answer.done_reason})`);
