// Runs an installed Chromium headless and measures pages in it.
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const shots = fileURLToPath(new URL('screenshots/', import.meta.url));
mkdirSync(shots, { recursive: true });

function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const dir of process.env.PATH.split(delimiter)) {
      try {
        accessSync(join(dir, name), constants.X_OK);
        return join(dir, name);
      } catch {
        // not in this folder
      }
    }
  }
  throw new Error('no Chromium on the PATH; set CHROMIUM (Debian: apt-get install chromium)');
}

// launch starts Chromium without its own use of the network. Its sandbox does not
// start for root, which CI uses. more are further arguments.
export function launch(more = []) {
  return chromium.launch({
    executablePath: executable(),
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...more,
    ],
  });
}

// open loads path in a new profile and collects faults: requests to another host,
// which it blocks, errors of the console and of scripts, responses with a status
// of 400 or above, and failed loads. The page may also call the hosts of the URLs in also. answered
// gets each response.
export async function open(browser, base, path, { width = 1280, height = 900, colorScheme = 'light', also = [], answered = () => {} } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const faults = [];
  const hosts = [base, ...also].map((url) => new URL(url).host);
  await context.route('**/*', (route) => {
    const url = new URL(route.request().url());
    if (url.protocol.startsWith('http') && !hosts.includes(url.host)) {
      faults.push(`request to another host: ${url}`);
      return route.abort();
    }
    return route.continue();
  });
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  page.on('requestfailed', (request) => {
    if (!request.url().startsWith('data:')) faults.push(`not loaded: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on('response', (response) => {
    answered(response);
    if (response.status() >= 400) faults.push(`${response.status()}: ${response.url()}`);
  });
  await page.goto(base + path);
  return { page, faults, close: () => context.close() };
}

// shoot saves a screenshot.
export function shoot(page, name, fullPage = false) {
  return page.screenshot({ path: join(shots, `${name}.png`), fullPage });
}

// overflow returns by how many pixels the page is wider than its window.
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

// background returns the brightness (0 to 255) of the background of the page.
export function background(page) {
  return page.evaluate(() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
    return (r + g + b) / 3;
  });
}

// faint returns the texts of the page whose contrast with their background is
// under least to 1 (WCAG 2.2 requires 4.5, for large text 3).
export function faint(page, least) {
  return page.evaluate((least) => {
    const parse = (colour) => {
      const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
      return { rgb: [r, g, b], a };
    };
    const over = (top, a, below) => top.map((v, i) => v * a + below[i] * (1 - a));
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const lineage = (element) => (element ? [element, ...lineage(element.parentElement)] : []);
    const behind = (element) => lineage(element).reverse().map((e) => parse(getComputedStyle(e).backgroundColor))
      .reduce((below, { rgb, a }) => over(rgb, a, below), [255, 255, 255]);

    const found = new Set();
    for (const element of document.querySelectorAll('body *')) {
      const text = [...element.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.textContent).join('').trim();
      if (text === '' || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
      const back = behind(element);
      const { rgb, a } = parse(getComputedStyle(element).color);
      const opacity = lineage(element).reduce((all, e) => all * Number(getComputedStyle(e).opacity), 1);
      const [dim, bright] = [luminance(over(rgb, a * opacity, back)), luminance(back)].sort((x, y) => x - y);
      const contrast = (bright + 0.05) / (dim + 0.05);
      if (contrast < least) found.add(`${contrast.toFixed(1)} <${element.localName}> ${text.slice(0, 40)}`);
    }
    return [...found];
  }, least);
}
