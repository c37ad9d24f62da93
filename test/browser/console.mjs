// What the tests of the page for people share.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { faint, overflow } from './browser.mjs';

const axe = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

// looks are the windows in which the page is tested.
export const looks = [390, 768, 1440].flatMap((width) => ['light', 'dark'].map((colorScheme) => ({ name: `${width}-${colorScheme}`, width, height: 900, colorScheme })));

export const button = (page, name) => page.getByRole('button', { name, exact: typeof name === 'string' });

// assertAccessible requires that axe finds no violations, nothing is wider than the window and no text is too faint.
export async function assertAccessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join('; ')}`), []);
  assert.equal(await overflow(page), 0, 'pixels wider than the window');
  assert.deepEqual(await faint(page, 4.5), [], 'texts with too little contrast');
}
