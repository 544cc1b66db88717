// The token and what is asked with it. The token lies in this tab's sessionStorage and in no address, cookie or log.

const KEY = "quantd-token";
const PATIENCE_MS = 15000;

export const token = () => sessionStorage.getItem(KEY);
export const keep = (value) => sessionStorage.setItem(KEY, value);
export const forget = () => sessionStorage.removeItem(KEY);

/** A no of the daemon's, with the status and the sentence that it gave. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `status ${status}`);
    this.status = status;
    this.code = problem.code;
  }
}

/** No answer, or one that broke off: what was asked for may have been done or not. */
export class Away extends Error {}

/** What a network operation gives; whatever fails in it, or takes too long, means that the daemon is away. */
async function reached(operation) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`nothing came within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([operation, late]);
  } catch (error) {
    throw new Away(error.message);
  } finally {
    clearTimeout(timer);
  }
}

async function ask(path, { body, signal, shown = token() } = {}) {
  const headers = { Authorization: `Bearer ${shown}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const asked = fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    mode: "same-origin",
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
  });
  const answer = await reached(asked);
  if (answer.ok) return answer;
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // the status says enough
  }
  throw new Refused(answer.status, problem);
}

export const get = async (path, options) => reached((await ask(path, options)).json());
export const post = async (path, body) => reached((await ask(path, { body })).json());

/** Calls `tell` with each event of the stream; returns when it ends. EventSource could not send the token. */
export async function follow(path, signal, tell) {
  const reader = (await ask(path, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reached(reader.read());
      if (done) return;
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) {
        if (event.startsWith("data: ")) tell(JSON.parse(event.slice(6)));
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // the daemon counts streams: one that is given up is closed
  }
}
