// Actions on the page of Swagger UI.

// operationAt opens the operation of a path and returns it.
export async function operationAt(page, path) {
  const operation = page.locator('.opblock', { has: page.locator(`[data-path="${path}"]`) }).first();
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.responses-table').last().waitFor();
  return operation;
}

// tryItOut opens the operation of a path, ready for a request.
export async function tryItOut(page, path) {
  const operation = await operationAt(page, path);
  const begin = operation.getByRole('button', { name: 'Try it out' });
  if (await begin.isVisible()) await begin.click();
  await operation.locator('textarea.body-param__text').waitFor();
  return operation;
}

// openErrors opens the responses of 400 and above, which are folded.
export async function openErrors(operation) {
  for (const button of await operation.locator('.response-fold button').all()) await button.click();
}

export async function chooseExample(section, key) {
  await section.locator('.examples-select-element').selectOption(key);
}

// execute sends the request of the page, with the port of the test's PACS instead
// of the usual one. It clears an earlier response, which Swagger UI would show until the next one arrives.
export async function execute(operation, pacsPort) {
  const clear = operation.getByRole('button', { name: 'Clear' });
  if (await clear.isVisible()) {
    await clear.click();
    await operation.locator('.live-responses-table').waitFor({ state: 'detached' });
  }
  const body = operation.locator('textarea.body-param__text');
  await body.fill((await body.inputValue()).replace('4242', pacsPort));
  await operation.getByRole('button', { name: 'Execute' }).click();
}

// answerOf returns the status and the text that the page shows of the response.
export async function answerOf(operation) {
  const answer = operation.locator('.live-responses-table .response');
  await answer.waitFor();
  return { status: await answer.locator('.response-col_status').innerText(), text: await answer.innerText() };
}
