import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contract, run } from './run.mjs';

test('Spectral reports nothing', () => run(['spectral', 'lint', contract, '--ruleset', 'spectral.yaml', '--fail-severity', 'hint']));

test('Redocly reports nothing', async () => {
  const { totals } = JSON.parse(await run(['redocly', 'lint', contract, '--extends', 'recommended', '--format', 'json'], { REDOCLY_TELEMETRY: 'off' }));
  assert.deepEqual(totals, { errors: 0, warnings: 0, ignored: 0 });
});
