// Opens studies in OHIF and reads what its viewports show.
import assert from 'node:assert/strict';

// openFromList opens a study by its row of the study list, as a reader does.
export async function openFromList(page, patient) {
  const row = page.locator('tbody tr', { hasText: patient }).first();
  await row.locator('button').last().click();
  const item = page.getByRole('menuitem', { name: 'Basic Viewer' });
  await item.waitFor();
  return item;
}

// shown returns what viewport n shows at places of its image, [column, row] or [column, row, slice], and which image that is.
export function shown(page, places, n = 0) {
  return page.evaluate(([places, n]) => {
    const viewport = window.cornerstone?.getRenderingEngines()?.[0]?.getViewports()[n];
    const data = viewport?.getImageData();
    if (!data) return { colours: [] };
    const canvas = viewport.getCanvas();
    const context = canvas.getContext('2d');
    const ratio = canvas.width / canvas.clientWidth;
    const colours = places.map(([column, row, slice = 0]) => {
      const [x, y] = viewport.worldToCanvas(data.imageData.indexToWorld([column, row, slice]));
      return [...context.getImageData(Math.round(x * ratio), Math.round(y * ratio), 1, 1).data.slice(0, 3)];
    });
    const imageId = viewport.getCurrentImageId?.() ?? '';
    return {
      colours,
      index: viewport.getCurrentImageIdIndex?.(),
      images: viewport.getImageIds?.().length,
      instance: imageId.match(/\/instances\/([\d.]+)/)?.[1],
      frame: Number(imageId.match(/\/frames\/(\d+)/)?.[1]),
    };
  }, [places, n]);
}

// flat returns places of an image around which its values, so many pixels to each side, differ by spread at most, so that interpolation
// changes little.
export function flat(pixels, columns, rows, { samples = 1, around = 3, step = 12, spread = 0 } = {}) {
  const places = [];
  for (let row = around; row < rows - around; row += step) {
    for (let column = around; column < columns - around; column += step) {
      let even = true;
      for (let sample = 0; sample < samples; sample++) {
        const at = (x, y) => pixels[((row + y) * columns + column + x) * samples + sample];
        for (let y = -around; y <= around; y++) for (let x = -around; x <= around; x++) even &&= Math.abs(at(x, y) - at(0, 0)) <= spread;
      }
      if (even) places.push([column, row]);
    }
  }
  return places;
}

// windowed returns the grey of a value (PS3.3 section C.11.2.1.2).
export function windowed(value, { centre, width }) {
  return Math.min(255, Math.max(0, ((value - (centre - 0.5)) / (width - 1) + 0.5) * 255));
}

// until calls check until it does not throw, for at most limit milliseconds.
export async function until(check, limit = 30_000) {
  for (const end = Date.now() + limit; ;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((passed) => setTimeout(passed, 50));
    }
  }
}

// matches fails unless the colours that are shown are the expected ones, [red, green, blue] or a grey, within tolerance.
export function matches(colours, expected, tolerance) {
  assert.equal(colours.length, expected.length, 'nothing is shown');
  const wrong = colours.map((colour, i) => ({ colour, want: [expected[i]].flat(), i }))
    .filter(({ colour, want }) => colour.some((value, c) => Math.abs(value - (want[c] ?? want[0])) > tolerance));
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${colours.length} places differ`);
}
