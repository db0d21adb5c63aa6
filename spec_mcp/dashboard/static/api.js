// Asking the program behind the page. An answer that is no answer is an Error with words for a person.

export async function ask(name, parameters = {}) {
  const query = new URLSearchParams(
    Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined),
  );
  return answerOf(await reach(`api/${name}?${query}`, { headers: { accept: "application/json" } }));
}

export async function act(name, body = {}) {
  return answerOf(
    await reach(`api/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  );
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error("spec-mcp does not answer: is `spec-mcp dashboard` still running?");
  }
}

async function answerOf(response) {
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(text.trim() || `status ${response.status}`);
  }
  if (!response.ok) throw new Error(value.error ?? `status ${response.status}`);
  return value;
}
