// Generates clients as other people do, compiles them and calls the demonstration with them.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { start } from '../browser/gateway.mjs';
import { contract, run } from './run.mjs';

const generators = {
  'swagger-typescript-api': ['swagger-typescript-api', 'generate', '--path', contract, '--output', 'generated/swagger-typescript-api', '--name', 'api.ts'],
  'openapi-ts': ['openapi-ts', '--input', contract, '--output', 'generated/openapi-ts'],
  orval: ['orval', '--config', 'orval.config.mjs'],
  'openapi-typescript': ['openapi-typescript', contract, '--output', 'generated/openapi-typescript/contract.ts'],
};

let gateway;
let environment;

before(async () => {
  gateway = await start();
  environment = { CONTRACT: contract, BASE_URL: gateway.url, PACS_PORT: String(gateway.pacsPort) };
  for (const dir of ['generated', 'build']) await rm(new URL(dir, import.meta.url), { recursive: true, force: true });
});

after(() => gateway?.stop());

for (const [name, command] of Object.entries(generators)) {
  test(`${name} generates a client`, () => run(command, environment));
}

test('the clients compile', () => run(['tsc', '-p', '.']));

for (const name of Object.keys(generators)) {
  test(`the client of ${name} calls /echo, /q, /qr and searches studies`, async () => {
    assert.deepEqual(JSON.parse(await run(['node', `build/clients/${name}.js`], environment)), {
      steps: ['resolve ok', 'connect ok', 'tls skipped', 'associate ok', 'echo ok'],
      studies: ['CT ABDOMEN'],
      message: 'The study was moved.',
      completed: [7],
      found: [['CT ABDOMEN']],
    });
  });
}
