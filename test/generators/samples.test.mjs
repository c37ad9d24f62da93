// Runs the code samples of the contract against the demonstration.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../browser/gateway.mjs';
import { run } from './run.mjs';

const types = fileURLToPath(new URL('node_modules/@types', import.meta.url));

// The file of a sample, and the commands that run it.
const languages = {
  curl: { file: 'sample.sh', commands: [['sh', 'sample.sh']] },
  'curl, with progress': { file: 'sample.sh', commands: [['sh', 'sample.sh']] },
  Python: { file: 'sample.py', commands: [['python3', 'sample.py']] },
  Go: { file: 'sample.go', commands: [['go', 'run', 'sample.go']] },
  TypeScript: {
    file: 'sample.mts',
    commands: [
      ['tsc', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--typeRoots', types, 'sample.mts'],
      ['node', 'sample.mjs'],
    ],
  },
};

const operations = {
  '/echo': /associate[^]*ok[^]*echo[^]*ok/,
  '/q': /20251103[^]*CT ABDOMEN|CT ABDOMEN[^]*20251103/,
  '/qr': /The study was moved\./,
  '/jobs': /[0-9a-z]{26}[^]*(queued|running|finished)/,
  '/dicomweb/{pacs}/studies': /20251103[^]*CT ABDOMEN/,
};

let gateway;
let contract;

before(async () => {
  gateway = await start();
  contract = await (await fetch(`${gateway.url}/openapi.json`)).json();
});

after(() => gateway?.stop());

for (const [path, output] of Object.entries(operations)) {
  test(`the samples of ${path} run`, async (t) => {
    const { get, post } = contract.paths[path];
    const samples = (post ?? get)['x-codeSamples'];
    const labels = samples.map(({ lang, label }) => label ?? lang);
    assert.deepEqual(labels.filter((label) => label !== 'curl, with progress'), ['curl', 'PowerShell', 'Python', 'Go', 'TypeScript']);
    for (const { lang, label = lang, source } of samples) {
      await t.test(label, async () => {
        assert.ok(source.includes(`http://localhost:8888${path.replace('{pacs}', 'orthanca')}`), 'the URL');
        if (label === 'PowerShell') return post ? assertFields(source, path) : assertQuery(source);
        const dir = await mkdtemp(join(tmpdir(), 'sample-'));
        const { file, commands } = languages[label];
        await writeFile(join(dir, file), source.replace('http://localhost:8888', gateway.url).replace('4242', gateway.pacsPort));
        let printed = '';
        for (const command of commands) printed += await run(command, {}, dir);
        assert.match(printed, label === 'curl, with progress' ? /event: matched[^]*event: result/ : output);
        await rm(dir, { recursive: true });
      });
    }
  });
}

// assertQuery checks a sample without an interpreter: it sends the parameters of the others.
function assertQuery(source) {
  const set = source.match(/@\{\n([^]*?)\n\}/)[1].split('\n').map((line) => line.trim().split(' = '));
  assert.deepEqual(Object.fromEntries(set), {
    PatientID: "'1112223333'", ModalitiesInStudy: "'CT'", includefield: "'StudyDescription'", limit: '1',
  });
}

// assertFields checks a sample without an interpreter: it sets the fields of the first example.
function assertFields(source, path) {
  const [example] = Object.values(contract.paths[path].post.requestBody.content['application/json'].examples);
  const { value } = example.$ref ? contract.components.examples[example.$ref.split('/').pop()] : example;
  const set = source.match(/@\{\n([^]*?)\n\}/)[1].split('\n').map((line) => line.trim().split(' = '));
  if (value.items) return assert.deepEqual(set.map(([key]) => key), Object.keys(value)); // it has one item of the example
  assert.deepEqual(Object.fromEntries(set), Object.fromEntries(Object.entries(value).map(([key, v]) =>
    [key, Array.isArray(v) ? `@('${v.join("', '")}')` : typeof v === 'string' ? `'${v}'` : String(v)])));
}
