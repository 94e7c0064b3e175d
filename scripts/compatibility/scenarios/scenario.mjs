// What all scenario scripts in JavaScript share; see scenario.py, which says the same of those in Python.
import { isDeepStrictEqual, inspect } from "node:util";

// Clients themselves write to it.
console.log = console.error;

export const [URL, CONTROL] = process.argv.slice(2);
export const CHAT_MODEL = "tinytools";
export const PLAIN_MODEL = "tiny";
export const UNKNOWN_MODEL = "nonsense";
export const SAID = "Hello world!";
export const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const TOOL = {
  type: "function",
  function: { name: "weather", description: "the weather", parameters: PARAMETERS },
};
export const CALL = { name: "weather", arguments: { city: "Rome" } };
export const SCHEMA = { type: "object", properties: { answer: { type: "integer" } }, required: ["answer"] };

export class Lacking extends Error {}

export function expect(found, wanted) {
  if (!isDeepStrictEqual(found, wanted)) throw new Error(`${inspect(found)} instead of ${inspect(wanted)}`);
}

export const prepare = (reply) => control("next", reply);
export const asked = () => control("asked");

export async function expectFreed() {
  if (!(await control("left"))) throw new Error("the back end was not freed");
}

export async function expectError(call, ...words) {
  let result;
  try {
    result = await call();
  } catch (error) {
    if (error instanceof Lacking) throw error;
    for (const word of words) {
      if (!error.message.includes(word)) throw new Error(`the error does not say '${word}': ${error.message}`);
    }
    return error;
  }
  throw new Error(`${inspect(result)} instead of an error`);
}

export async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export async function perform(scenarios, uncovered = () => []) {
  const results = {};
  for (const [sentence, run] of Object.entries(scenarios)) {
    await control("reset", {});
    results[sentence] = { client: await outcome(run) };
  }
  process.stdout.write(JSON.stringify({ results, uncovered: uncovered() }), () => process.exit());
}

async function outcome(run) {
  try {
    await run();
  } catch (error) {
    if (error instanceof Lacking) return "lacking";
    console.error(error);
    return `${error.name}: ${error.message}`;
  }
  return "passed";
}

async function control(what, body) {
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return (await fetch(`${CONTROL}/${what}`, init)).json();
}
