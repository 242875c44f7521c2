// A model that follows a script, for tests: it makes the agent write the file that the prompt names as
// FILE=<absolute path>, then commit it, then say that it is done (or nothing at all, for a prompt with STALL in it that does not
// say it was tried before; a prompt with BUSY in it is refused once). A token with "limited" in it is used up. It speaks the
// protocols of the agents under test: Anthropic messages, OpenAI responses and chat completions, Gemini generateContent.
//
// usage: node endpoint.mjs ADDRESS PORT LOG      PORT 0 takes a free one; "listening PORT" is printed when ready
//
// What the agent did so far is read from the conversation itself (the tool results after the last prompt), so the
// process keeps no state but which prompts it refused, and serves any number of runs at once. Every request is logged as one JSON line.
import http from "node:http";
import fs from "node:fs";

const [address, port, log] = process.argv.slice(2);
const LINE = "written by the agent\n";
const DONE = "The file is written and committed.";
const refused = new Set();

// What to do after `done` tool calls.
function plan(done, prompt) {
  const file = (/FILE=([^\s"']+)/.exec(prompt) || [])[1];
  if (done >= 2 && /STALL/.test(prompt) && !/tried before/.test(prompt)) return { stall: true };
  if (!file || done >= 2) return { say: DONE };
  if (done === 0) return { write: file };
  const quoted = `'${file.replaceAll("'", "'\\''")}'`;
  return { shell: `git add ${quoted} && git commit -m 'Work of the agent'` };
}

const shellWrite = (file) => `printf '%s' '${LINE}' > '${file.replaceAll("'", "'\\''")}'`;

function json(res, body, status = 200) {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
}

function stream(res) {
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  return (data) => res.write(`${data.type ? `event: ${data.type}\n` : ""}data: ${JSON.stringify(data)}\n\n`);
}

// --- Anthropic: POST /v1/messages
function anthropic(req, res, body, id) {
  let done = 0;
  let prompt = "";
  for (const message of [...body.messages].reverse()) {
    if (message.role !== "user") continue;
    const parts = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
    const results = parts.filter((part) => part.type === "tool_result").length;
    const text = parts.map((part) => part.text ?? "").join("\n");
    if (/FILE=/.test(text)) {
      prompt = text;
      break;
    }
    done += results; // a message without either is a reminder that the agent gave itself
  }
  const names = (body.tools ?? []).map((tool) => tool.name);
  const error = (type, message) => ({ type: "error", error: { type, message } });
  if (/limited/.test(req.headers.authorization ?? "")) {
    const reset = String(Math.floor(Date.now() / 1000) + 3600);
    const unified = { status: "rejected", "representative-claim": "five_hour", reset, "5h-status": "rejected", "5h-reset": reset };
    for (const [name, value] of Object.entries(unified)) res.setHeader(`anthropic-ratelimit-unified-${name}`, value);
    res.setHeader("x-should-retry", "false");
    return json(res, error("rate_limit_error", "This request would exceed your account's rate limit."), 429);
  }
  const busy = /BUSY-\w+/.exec(prompt)?.[0];
  if (names.length && busy && !refused.has(busy)) {
    refused.add(busy);
    return json(res, error("overloaded_error", "Overloaded"), 529);
  }
  const step = names.length ? plan(done, prompt) : { say: '{"title":"A test"}' };
  if (step.stall) return; // the connection stays open
  let block = { type: "text", text: step.say };
  if (step.write)
    block = { type: "tool_use", id: `toolu_${id}`, name: "Write", input: { file_path: step.write, content: LINE } };
  if (step.shell)
    block = { type: "tool_use", id: `toolu_${id}`, name: "Bash", input: { command: step.shell, description: "commit" } };
  const stop_reason = block.type === "text" ? "end_turn" : "tool_use";
  const usage = { input_tokens: 100, output_tokens: 10, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  const message = {
    id: `msg_${id}`, type: "message", role: "assistant", model: body.model,
    content: [block], stop_reason, stop_sequence: null, usage,
  };
  if (!body.stream) return json(res, message);
  const send = stream(res);
  send({ type: "message_start", message: { ...message, content: [], stop_reason: null } });
  const text = block.type === "text";
  send({ type: "content_block_start", index: 0, content_block: text ? { type: "text", text: "" } : { ...block, input: {} } });
  send({
    type: "content_block_delta", index: 0,
    delta: text
      ? { type: "text_delta", text: block.text }
      : { type: "input_json_delta", partial_json: JSON.stringify(block.input) },
  });
  send({ type: "content_block_stop", index: 0 });
  send({ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 10 } });
  send({ type: "message_stop" });
  res.end();
}

// --- OpenAI: POST /v1/responses
function openai(req, res, body, id) {
  let done = 0;
  let prompt = "";
  for (const item of [...(body.input ?? [])].reverse()) {
    if (/_call_output$/.test(item.type ?? "")) done += 1;
    if (item.role === "user") {
      const text = typeof item.content === "string" ? item.content : item.content.map((part) => part.text ?? "").join("\n");
      if (!/FILE=/.test(text)) continue; // codex sends its own context as user messages as well
      prompt = text;
      break;
    }
  }
  const names = (body.tools ?? []).map((tool) => tool.name ?? tool.type);
  const step = names.length ? plan(done, prompt) : { say: "A test" };
  if (step.stall) return;
  const command = step.write ? shellWrite(step.write) : step.shell;
  const shell = ["exec_command", "shell_command", "shell"].find((name) => names.includes(name));
  let item = {
    type: "message", role: "assistant", id: `msg_${id}`, status: "completed",
    content: [{ type: "output_text", text: step.say ?? "", annotations: [] }],
  };
  if (command) {
    const input = { exec_command: { cmd: command }, shell_command: { command }, shell: { command: ["bash", "-c", command] } };
    item = {
      type: "function_call", id: `fc_${id}`, call_id: `call_${id}`, status: "completed",
      name: shell, arguments: JSON.stringify(input[shell]),
    };
  }
  const usage = {
    input_tokens: 100, input_tokens_details: { cached_tokens: 0 },
    output_tokens: 10, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 110,
  };
  const response = { id: `resp_${id}`, object: "response", model: body.model, created_at: 1, status: "completed", output: [item], usage };
  if (!body.stream) return json(res, response);
  const send = stream(res);
  send({ type: "response.created", response: { ...response, status: "in_progress", output: [] } });
  send({ type: "response.output_item.added", output_index: 0, item: { ...item, status: "in_progress" } });
  if (!command)
    send({ type: "response.output_text.delta", item_id: item.id, output_index: 0, content_index: 0, delta: step.say });
  send({ type: "response.output_item.done", output_index: 0, item });
  send({ type: "response.completed", response });
  res.end();
}

// --- OpenAI's older protocol, which most other agents speak: POST /v1/chat/completions
function chat(req, res, body, id) {
  let done = 0;
  let prompt = "";
  for (const message of [...(body.messages ?? [])].reverse()) {
    const parts = typeof message.content === "string" ? [{ text: message.content }] : (message.content ?? []);
    const text = parts.map((part) => part.text ?? "").join("\n");
    if (message.role === "tool") done += 1;
    if (message.role === "user" && /FILE=/.test(text)) {
      prompt = text;
      break;
    }
  }
  const names = (body.tools ?? []).map((tool) => tool.function?.name);
  const shell = names.find((name) => ["bash", "run_shell_command", "shell"].includes(name));
  const step = shell ? plan(done, prompt) : { say: "A test" };
  if (step.stall) return;
  const command = step.write ? shellWrite(step.write) : step.shell;
  const call = { name: shell, arguments: JSON.stringify({ command, description: "work", is_background: false }) };
  const message = { role: "assistant", content: command ? null : step.say };
  if (command) message.tool_calls = [{ index: 0, id: `call_${id}`, type: "function", function: call }];
  const finish_reason = command ? "tool_calls" : "stop";
  const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
  const head = { id: `chatcmpl-${id}`, created: 1, model: body.model };
  if (!body.stream)
    return json(res, { ...head, object: "chat.completion", choices: [{ index: 0, message, finish_reason }], usage });
  const send = stream(res);
  const chunk = (delta, finish) => ({
    ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }],
  });
  send(chunk(message, null));
  send({ ...chunk({}, finish_reason), usage });
  res.end("data: [DONE]\n\n");
}

// --- Gemini: POST /v1beta/models/<model>:<method>
function gemini(req, res, body, id, model, method) {
  if (method === "countTokens") return json(res, { totalTokens: 100 });
  let done = 0;
  let prompt = "";
  for (const content of [...(body.contents ?? [])].reverse()) {
    if (content.role === "model") continue;
    const parts = content.parts ?? [];
    done += parts.filter((part) => part.functionResponse).length;
    const text = parts.map((part) => part.text ?? "").join("\n");
    if (/FILE=/.test(text)) {
      prompt = text;
      break;
    }
  }
  const usageMetadata = { promptTokenCount: 100, candidatesTokenCount: 10, totalTokenCount: 110 };
  const candidate = (part) => ({
    candidates: [{ content: { role: "model", parts: [part] }, finishReason: "STOP", index: 0 }],
    usageMetadata, modelVersion: model, responseId: `r${id}`,
  });
  if (method === "generateContent") {
    // the router asks a small model how hard the task is, and who speaks next
    const schema = JSON.stringify(body.generationConfig ?? {});
    let answer = { reasoning: "scripted", next_speaker: "user" };
    if (schema.includes("complexity_score")) answer = { complexity_reasoning: "scripted", complexity_score: 1 };
    else if (schema.includes("model_choice")) answer = { reasoning: "scripted", model_choice: "flash" };
    return json(res, candidate({ text: JSON.stringify(answer) }));
  }
  const step = body.tools?.length ? plan(done, prompt) : { say: "A test" };
  if (step.stall) return;
  let part = { text: step.say };
  if (step.write) part = { functionCall: { name: "write_file", args: { file_path: step.write, content: LINE } } };
  if (step.shell) part = { functionCall: { name: "run_shell_command", args: { command: step.shell, description: "commit" } } };
  stream(res)(candidate(part));
  res.end();
}

let requests = 0;
const server = http.createServer((req, res) => {
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const id = `t${++requests}`;
    const path = new URL(req.url, "http://endpoint").pathname;
    const note = { method: req.method, path };
    for (const name of ["x-api-key", "authorization", "x-goog-api-key"]) if (req.headers[name]) note[name] = req.headers[name];
    let body = {};
    let broken = false;
    try {
      body = JSON.parse(Buffer.concat(chunks).toString() || "{}");
    } catch {
      broken = true;
    }
    note.tools = Boolean(body.tools?.length);
    fs.appendFileSync(log, `${JSON.stringify(note)}\n`);
    if (broken) return json(res, { error: { message: "not JSON" } }, 400);
    if (req.method === "POST" && path.endsWith("/v1/messages")) return anthropic(req, res, body, id);
    if (req.method === "POST" && path.endsWith("/responses")) return openai(req, res, body, id);
    if (req.method === "POST" && path.endsWith("/chat/completions")) return chat(req, res, body, id);
    const call = /\/models\/([^/:]+):(\w+)$/.exec(path);
    if (req.method === "POST" && call) return gemini(req, res, body, id, call[1], call[2]);
    return json(res, { error: { message: `nothing at ${path}` } }, 404);
  });
});
server.on("upgrade", (req, socket) => socket.end("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n"));
server.listen(Number(port), address, () => console.log(`listening ${server.address().port}`));
