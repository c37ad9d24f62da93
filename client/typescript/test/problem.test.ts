import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ProblemError, statusOf, type CodeOf, type Problem, type ProblemCode } from 'dicom-qr-gateway-client';

test('statusOf matches the contract', () => {
  const contract = readFileSync(new URL('../../../openapi.yaml', import.meta.url), 'utf8');
  const rows = [...contract.matchAll(/^ +\| `(\w+)` \| ([45]\d\d) \|/gm)].map(([, code, status]) => [code, Number(status)]);
  assert.deepEqual(Object.fromEntries(rows), statusOf);
});

/** Handles each kind of problem. The compiler checks that the type narrows. */
function advice(problem: Problem): string {
  switch (problem.code) {
    case 'invalid_request':
      return problem.errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join(', ');
    case 'no_study_matched':
      return `${problem.warnings?.length ?? 0} warnings`;
    case 'association_rejected':
    case 'move_destination_unknown':
      // @ts-expect-error: only an invalid request has errors
      problem.errors;
      return problem.dicom?.reason ?? problem.dicom?.meaning ?? '';
    default:
      // @ts-expect-error: the remaining kinds have no warnings
      problem.warnings;
      return problem.detail;
  }
}

const common = { type: 'urn:dicom-qr-gateway:problem', title: 'Title', detail: 'What happened.' };

test('the code narrows the type of a problem', () => {
  assert.equal(
    advice({ ...common, code: 'invalid_request', status: 400, errors: [{ pointer: '/patient_id', detail: 'is required' }] }),
    '/patient_id is required',
  );
  assert.equal(advice({ ...common, code: 'no_study_matched', status: 404 }), '0 warnings');
  assert.equal(
    advice({ ...common, code: 'association_rejected', status: 502, dicom: { step: 'associate', reason: 'called-AE-title-not-recognized' } }),
    'called-AE-title-not-recognized',
  );
  assert.equal(advice({ ...common, code: 'draining', status: 503 }), 'What happened.');
});

test('every code has a kind, and CodeOf has the codes of a status', () => {
  const every: [ProblemCode] extends [Problem['code']] ? true : false = true;
  const busy: CodeOf<503>[] = ['audit_unavailable', 'draining', 'pacs_busy', 'too_many_operations', 'memory_busy', 'spool_full', 'too_many_open_files'];
  // @ts-expect-error: move_failed is a 502
  busy.push('move_failed');
  assert.equal(every && busy.length, 8);
});

test('a ProblemError shows detail and code', () => {
  const error = new ProblemError({ ...common, code: 'pacs_busy', status: 503 }, 5);
  assert.equal(String(error), 'ProblemError: What happened. (pacs_busy)');
  assert.equal(error.retryAfter, 5);
});
