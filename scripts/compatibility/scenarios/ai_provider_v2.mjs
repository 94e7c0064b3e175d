// The AI SDK with the provider ollama-ai-provider-v2.
import { Output, embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { createOllama } from "ollama-ai-provider-v2";
import {
  CALL, CHAT_MODEL, PARAMETERS, PLAIN_MODEL, PNG, SAID, SCHEMA, UNKNOWN_MODEL, URL, asked, collect, expect,
  expectError, expectFreed, perform, prepare,
} from "./scenario.mjs";

const ollama = createOllama({ baseURL: `${URL}/api` });
const call = (settings = {}) => ({ model: ollama(CHAT_MODEL), prompt: "hello", maxRetries: 0, ...settings });
const tools = {
  weather: tool({
    description: "the weather",
    inputSchema: jsonSchema(PARAMETERS),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};

await perform({
  "An answer as a whole": async () => {
    const answer = await generateText(call());
    expect([answer.text, answer.finishReason, answer.usage.totalTokens], [SAID, "stop", 8]);
  },
  "A streamed answer": async () => {
    expect((await collect(streamText(call()).textStream)).join(""), SAID);
  },
  Options: async () => {
    await generateText(call({ providerOptions: { ollama: { options: { temperature: 0.125, seed: 4711 } } } }));
    const body = await asked();
    expect(body.includes("0.125") && body.includes("4711"), true);
  },
  "A tool call and its result": async () => {
    await prepare({ tool: CALL });
    expect((await generateText(call({ tools, stopWhen: stepCountIs(2) }))).text, SAID);
    expect((await asked()).includes("sunny in Rome"), true);
  },
  "A tool call in a stream": async () => {
    await prepare({ tool: CALL });
    expect((await collect(streamText(call({ tools, stopWhen: stepCountIs(2) })).textStream)).join(""), SAID);
    expect((await asked()).includes("sunny in Rome"), true);
  },
  "Structured output": async () => {
    await prepare({ text: ['{"answer":', " 42}"] });
    const { output } = await generateText(call({ output: Output.object({ schema: jsonSchema(SCHEMA) }) }));
    expect(output, { answer: 42 });
    expect((await asked()).includes('"answer"'), true);
  },
  "Thinking beside the answer": async () => {
    await prepare({ thinking: "let me see", text: ["42"] });
    const answer = await generateText(call({ providerOptions: { ollama: { think: true } } }));
    expect([answer.reasoningText, answer.text], ["let me see", "42"]);
  },
  "An image": async () => {
    const content = [
      { type: "text", text: "what is it?" },
      { type: "image", image: PNG, mediaType: "image/png" },
    ];
    await generateText(call({ prompt: undefined, messages: [{ role: "user", content }] }));
    expect((await asked()).includes(PNG), true);
  },
  Embeddings: async () => {
    const { embeddings } = await embedMany({ model: ollama.embeddingModel(PLAIN_MODEL), values: ["one", "two"] });
    expect([embeddings.length, embeddings[0].join() === embeddings[1].join()], [2, false]);
  },
  "An unknown model is an error": async () => {
    const error = await expectError(() => generateText(call({ model: ollama(UNKNOWN_MODEL) })));
    expect([error.statusCode, error.responseBody.includes("not found")], [404, true]);
  },
  "A client that leaves a stream frees the back end": async () => {
    await prepare({ slow: true });
    const leaving = new AbortController();
    for await (const _ of streamText(call({ abortSignal: leaving.signal })).textStream) leaving.abort();
    await expectFreed();
  },
});
