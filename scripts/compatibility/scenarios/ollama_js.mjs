// Every method of the official JavaScript client, from 0.5 to the newest.
import { Ollama } from "ollama";
import {
  CALL, CHAT_MODEL, Lacking, PLAIN_MODEL, PNG, SAID, SCHEMA, TOOL, UNKNOWN_MODEL, URL, asked, collect, expect,
  expectError, expectFreed, perform, prepare,
} from "./scenario.mjs";

const messages = [{ role: "user", content: "hello" }];
const called = new Set();

/** A client that notes which of its methods are called, and says so when it does not have one. */
function observed(config = {}) {
  return new Proxy(new Ollama({ host: URL, ...config }), {
    get(client, name) {
      if (!(name in client)) throw new Lacking(name);
      called.add(name);
      return client[name].bind(client);
    },
  });
}

const client = observed();
const names = async () => (await client.list()).models.map((model) => model.name.replace(/:latest$/, ""));
const said = (parts, piece) => {
  expect([parts.length > 2, parts.at(-1).done], [true, true]);
  return parts.map(piece).join("");
};

async function hostsAsked(call) {
  const hosts = [];
  const other = observed({
    headers: { Authorization: "Bearer key" },
    fetch: async (url) => {
      hosts.push(new globalThis.URL(url).host);
      return new Response('{"error": "nobody was asked"}', { status: 503 });
    },
  });
  await expectError(() => call(other), "nobody was asked");
  expect(hosts, [new globalThis.URL(URL).host]);
}

const scenarios = {
  "`version` says the server's version": async () => {
    expect(/^\d+\.\d+\.\d+$/.test((await client.version()).version), true);
  },
  "`list` names the models": async () => {
    expect((await names()).sort(), [PLAIN_MODEL, CHAT_MODEL]);
  },
  "`show` describes a model": async () => {
    const shown = await client.show({ model: CHAT_MODEL });
    expect(shown.capabilities.includes("tools"), true);
    expect(shown.model_info[`${shown.model_info["general.architecture"]}.context_length`] > 0, true);
  },
  "`ps` names the models in use": async () => {
    await client.chat({ model: CHAT_MODEL, messages, keep_alive: "10m" });
    const running = (await client.ps()).models.map((model) => model.name.replace(/:latest$/, ""));
    expect(running.includes(CHAT_MODEL), true);
  },
  "`generate` without a prompt loads and unloads a model": async () => {
    expect((await client.generate({ model: CHAT_MODEL, prompt: "", keep_alive: "10m" })).done_reason, "load");
    expect((await client.generate({ model: CHAT_MODEL, prompt: "", keep_alive: 0 })).done_reason, "unload");
  },
  "`pull` succeeds, whole and streamed": async () => {
    expect((await client.pull({ model: PLAIN_MODEL })).status, "success");
    expect((await collect(await client.pull({ model: PLAIN_MODEL, stream: true }))).at(-1).status, "success");
  },
  "`push` succeeds, whole and streamed": async () => {
    expect((await client.push({ model: PLAIN_MODEL })).status, "success");
    expect((await collect(await client.push({ model: PLAIN_MODEL, stream: true }))).at(-1).status, "success");
  },
  "`create` makes a model from another, whole and streamed": async () => {
    expect((await client.create({ model: "made", from: CHAT_MODEL })).status, "success");
    const stream = await client.create({ model: "made", from: CHAT_MODEL, stream: true });
    expect((await collect(stream)).at(-1).status, "success");
    expect((await names()).includes("made"), true);
    await client.delete({ model: "made" });
  },
  "`copy` gives a model a second name, and `delete` takes it away": async () => {
    expect((await client.copy({ source: CHAT_MODEL, destination: "copied" })).status, "success");
    expect((await names()).includes("copied"), true);
    expect((await client.delete({ model: "copied" })).status, "success");
    expect((await names()).includes("copied"), false);
  },
  "`chat` answers whole": async () => {
    const answer = await client.chat({ model: CHAT_MODEL, messages });
    expect([answer.message.role, answer.message.content, answer.done], ["assistant", SAID, true]);
  },
  "`chat` answers streamed": async () => {
    const parts = await collect(await client.chat({ model: CHAT_MODEL, messages, stream: true }));
    expect(said(parts, (part) => part.message.content), SAID);
  },
  "`generate` answers whole": async () => {
    expect((await client.generate({ model: CHAT_MODEL, prompt: "hello", system: "Be brief." })).response, SAID);
    expect((await asked()).includes("Be brief."), true);
  },
  "`generate` answers streamed": async () => {
    const parts = await collect(await client.generate({ model: CHAT_MODEL, prompt: "hello", stream: true }));
    expect(said(parts, (part) => part.response), SAID);
  },
  "`options` reach the model": async () => {
    await client.chat({ model: CHAT_MODEL, messages, options: { temperature: 0.125, seed: 4711 } });
    const body = await asked();
    expect(body.includes("0.125") && body.includes("4711"), true);
  },
  "`chat` calls a tool and takes its result": async () => {
    await prepare({ tool: CALL });
    const { message } = await client.chat({ model: CHAT_MODEL, messages, tools: [TOOL] });
    expect(message.tool_calls.map((call) => [call.function.name, call.function.arguments]), [["weather", CALL.arguments]]);
    const history = [...messages, message, { role: "tool", content: "sunny in Rome", tool_name: "weather" }];
    expect((await client.chat({ model: CHAT_MODEL, messages: history, tools: [TOOL] })).message.content, SAID);
    expect((await asked()).includes("sunny in Rome"), true);
  },
  "`chat` calls a tool in a stream": async () => {
    await prepare({ tool: CALL });
    const parts = await collect(await client.chat({ model: CHAT_MODEL, messages, tools: [TOOL], stream: true }));
    expect(parts.flatMap((part) => part.message.tool_calls ?? []).map((call) => call.function.name), ["weather"]);
  },
  "`format` with a JSON schema gives structured output": async () => {
    await prepare({ text: ['{"answer":', " 42}"] });
    const answer = await client.chat({ model: CHAT_MODEL, messages, format: SCHEMA });
    expect(JSON.parse(answer.message.content), { answer: 42 });
    expect((await asked()).includes('"answer"'), true);
  },
  "`think` gives the thinking beside the answer": async () => {
    await prepare({ thinking: "let me see", text: ["42"] });
    const { message } = await client.chat({ model: CHAT_MODEL, messages, think: true });
    expect([message.thinking, message.content], ["let me see", "42"]);
    await prepare({ thinking: "let me see", text: ["42"] });
    const parts = await collect(await client.chat({ model: CHAT_MODEL, messages, think: true, stream: true }));
    expect(parts.map((part) => part.message.thinking ?? "").join(""), "let me see");
  },
  "images reach the model, as bytes and in base64": async () => {
    for (const image of [Buffer.from(PNG, "base64"), PNG]) {
      await client.chat({ model: CHAT_MODEL, messages: [{ ...messages[0], images: [image] }] });
      expect((await asked()).includes(PNG), true);
      await client.generate({ model: CHAT_MODEL, prompt: "what is it?", images: [image] });
      expect((await asked()).includes(PNG), true);
    }
    expect(await client.encodeImage(Buffer.from(PNG, "base64")), PNG);
  },
  "`embed` embeds one text and several": async () => {
    expect((await client.embed({ model: PLAIN_MODEL, input: "one" })).embeddings.length, 1);
    const { embeddings } = await client.embed({ model: PLAIN_MODEL, input: ["one", "two"] });
    expect([embeddings.length, embeddings[0].join() === embeddings[1].join()], [2, false]);
  },
  "`embeddings` embeds a text": async () => {
    expect((await client.embeddings({ model: PLAIN_MODEL, prompt: "one" })).embedding.length > 1, true);
  },
  "An unknown model is an error with status 404": async () => {
    for (const call of [
      () => client.chat({ model: UNKNOWN_MODEL, messages }),
      () => client.generate({ model: UNKNOWN_MODEL, prompt: "hello" }),
      () => client.show({ model: UNKNOWN_MODEL }),
      async () => collect(await client.chat({ model: UNKNOWN_MODEL, messages, stream: true })),
    ]) {
      expect((await expectError(call, UNKNOWN_MODEL, "not found")).status_code, 404);
    }
  },
  "Bad input is an error with status 400": async () => {
    const copy = () => client.copy({ source: "no such thing", destination: "copied" });
    expect((await expectError(copy, "is invalid")).status_code, 400);
    const chat = () => client.chat({ model: PLAIN_MODEL, messages, tools: [TOOL] });
    expect((await expectError(chat, "does not support tools")).status_code, 400);
  },
  "An answer that breaks off is an error, whole and streamed": async () => {
    await prepare({ breaks: true });
    await expectError(() => client.chat({ model: CHAT_MODEL, messages }));
    await prepare({ breaks: true });
    await expectError(async () => collect(await client.chat({ model: CHAT_MODEL, messages, stream: true })));
  },
  "`abort` ends a stream and frees the back end": async () => {
    await prepare({ slow: true });
    const error = await expectError(async () => {
      for await (const part of await client.chat({ model: CHAT_MODEL, messages, stream: true })) client.abort();
    });
    expect(error.name, "AbortError");
    await expectFreed();
    expect((await client.chat({ model: CHAT_MODEL, messages })).message.content, SAID);
  },
  "A client that gives up waiting frees the back end": async () => {
    await prepare({ slow: true });
    const impatient = observed({ fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(300) }) });
    await expectError(() => impatient.chat({ model: CHAT_MODEL, messages }));
    await expectFreed();
  },
  "`webSearch` asks the server": () => hostsAsked((other) => other.webSearch({ query: "the weather" })),
  "`webFetch` asks the server": () => hostsAsked((other) => other.webFetch({ url: "http://localhost/" })),
  "`systemone` asks the back end": async () => {
    const questions = { wet: { type: "noul", instructions: "Is it wet?" } };
    expect((await client.systemone({ model: CHAT_MODEL, state: "It rains.", questions })).answers.wet.noul, 0.75);
  },
};

// What only the client's own methods call.
const inner = ["constructor", "fileExists", "processStreamableRequest", "parseModelfile", "createBlob", "readImage"];
const methods = [Ollama.prototype, Object.getPrototypeOf(Ollama.prototype)].flatMap(Object.getOwnPropertyNames);
await perform(scenarios, () => methods.filter((name) => !called.has(name) && !inner.includes(name)).map((name) => `Ollama.${name}`));
