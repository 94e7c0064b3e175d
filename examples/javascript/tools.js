// Let the model call a function of this program, then answer with its result.
//
//   npm install
//   node tools.js [MODEL]
//
// OLLAMA_HOST says where the proxy is; this client does not read it by itself.
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.OLLAMA_HOST ?? "http://127.0.0.1:11434" });
const model = process.argv[2] ?? process.env.MODEL ?? "demo";

const temperatures = { Rome: "24 °C", Oslo: "7 °C" };
const functions = { temperature: ({ city }) => temperatures[city] ?? "not known" };
const tools = [
  {
    type: "function",
    function: {
      name: "temperature",
      description: "Say how warm it is in a city now.",
      parameters: {
        type: "object",
        properties: { city: { type: "string", description: "the city's name" } },
        required: ["city"],
      },
    },
  },
];

const messages = [{ role: "user", content: "How warm is it in Rome?" }];
let answer = await client.chat({ model, messages, tools });
messages.push(answer.message);

const calls = answer.message.tool_calls ?? [];
for (const { function: called } of calls) {
  const run = functions[called.name] ?? (() => `there is no tool ${called.name}`);
  const content = run(called.arguments);
  console.log(`${called.name}(${JSON.stringify(called.arguments)}) = ${content}`);
  messages.push({ role: "tool", tool_name: called.name, content });
}

if (calls.length > 0) answer = await client.chat({ model, messages });
console.log(answer.message.content);
