// LangChain's @langchain/ollama.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOllama, Ollama, OllamaEmbeddings } from "@langchain/ollama";
import {
  CALL, CHAT_MODEL, PLAIN_MODEL, PNG, SAID, SCHEMA, TOOL, UNKNOWN_MODEL, URL, asked, collect, expect,
  expectError, expectFreed, perform, prepare,
} from "./scenario.mjs";

const chat = (fields = {}) => new ChatOllama({ model: CHAT_MODEL, baseUrl: URL, maxRetries: 0, ...fields });

await perform({
  "An answer as a whole": async () => {
    expect((await chat().invoke("hello")).content, SAID);
    expect(await new Ollama({ model: CHAT_MODEL, baseUrl: URL }).invoke("hello"), SAID);
  },
  "A streamed answer": async () => {
    expect((await collect(await chat().stream("hello"))).map((part) => part.content).join(""), SAID);
  },
  Options: async () => {
    await chat({ temperature: 0.125, seed: 4711 }).invoke("hello");
    const body = await asked();
    expect(body.includes("0.125") && body.includes("4711"), true);
  },
  "A tool call and its result": async () => {
    await prepare({ tool: CALL });
    const model = chat().bindTools([TOOL]);
    const answer = await model.invoke("hello");
    expect(answer.tool_calls.map((call) => [call.name, call.args]), [["weather", CALL.arguments]]);
    const result = new ToolMessage({ content: "sunny in Rome", tool_call_id: answer.tool_calls[0].id });
    expect((await model.invoke([new HumanMessage("hello"), answer, result])).content, SAID);
    expect((await asked()).includes("sunny in Rome"), true);
  },
  "A tool call in a stream": async () => {
    await prepare({ tool: CALL });
    const parts = await collect(await chat().bindTools([TOOL]).stream("hello"));
    expect(parts.flatMap((part) => part.tool_calls ?? []).map((call) => call.name), ["weather"]);
  },
  "Structured output": async () => {
    await prepare({ text: ['{"answer":', " 42}"] });
    expect(await chat().withStructuredOutput({ title: "Answer", ...SCHEMA }, { method: "jsonSchema" }).invoke("hello"), {
      answer: 42,
    });
    expect((await asked()).includes('"answer"'), true);
  },
  "Thinking beside the answer": async () => {
    await prepare({ thinking: "let me see", text: ["42"] });
    const answer = await chat({ think: true }).invoke("hello");
    expect([answer.additional_kwargs.reasoning_content, answer.content], ["let me see", "42"]);
  },
  "An image": async () => {
    const picture = { type: "image_url", image_url: `data:image/png;base64,${PNG}` };
    await chat().invoke([new HumanMessage({ content: [{ type: "text", text: "what is it?" }, picture] })]);
    expect((await asked()).includes(PNG), true);
  },
  Embeddings: async () => {
    const vectors = await new OllamaEmbeddings({ model: PLAIN_MODEL, baseUrl: URL }).embedDocuments(["one", "two"]);
    expect([vectors.length, vectors[0].join() === vectors[1].join()], [2, false]);
  },
  "The list of models": async () => {
    expect((await chat({ checkOrPullModel: true }).invoke("hello")).content, SAID);
  },
  "An unknown model is an error": async () => {
    const error = await expectError(() => chat({ model: UNKNOWN_MODEL }).invoke("hello"), "not found");
    expect(error.status_code, 404);
  },
  "A client that leaves a stream frees the back end": async () => {
    await prepare({ slow: true });
    const leaving = new AbortController();
    await expectError(async () => {
      for await (const _ of await chat().stream("hello", { signal: leaving.signal })) leaving.abort();
    });
    await expectFreed();
  },
});
