// Serves the OHIF viewer, as its npm package holds it, for a DICOMweb server.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

// npm ci would install hundreds of packages that build the viewer; the tests need only what was built.
const name = '@ohif/app';
const version = '3.13.2';
const digest = 'WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==';
const bin = fileURLToPath(new URL('../../bin/', import.meta.url));
const folder = join(bin, `ohif-${version}`);

// fetch unpacks the package into bin, unless it is there.
async function fetch() {
  try {
    await access(folder);
    return;
  } catch {
    // not yet
  }
  await mkdir(bin, { recursive: true });
  const work = await mkdtemp(join(bin, 'ohif-'));
  try {
    await run('npm', ['pack', '--silent', `${name}@${version}`], { cwd: work });
    const archive = join(work, `ohif-app-${version}.tgz`);
    const got = createHash('sha512').update(await readFile(archive)).digest('base64');
    if (got !== digest) throw new Error(`${name}@${version} has digest ${got}`);
    await run('tar', ['-xzf', archive, '-C', work, '--exclude', '*.map', '--exclude', 'package/dist/ort', 'package/dist']);
    await rename(join(work, 'package/dist'), folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const types = {
  '.css': 'text/css', '.html': 'text/html', '.ico': 'image/x-icon', '.js': 'text/javascript', '.json': 'application/json',
  '.mjs': 'text/javascript', '.png': 'image/png', '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.woff2': 'font/woff2',
};

// config is the configuration of the viewer: one data source, and nothing of another host.
const config = (dicomweb) => `window.config = ${JSON.stringify({
  routerBasename: null,
  extensions: [],
  modes: [],
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'gateway',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'gateway',
    configuration: {
      friendlyName: 'Gateway',
      name: 'gateway',
      qidoRoot: dicomweb,
      wadoRoot: dicomweb,
      qidoSupportsIncludeField: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      staticWado: false,
    },
  }],
})};`;

// serve resolves to the URL of a viewer of the DICOMweb server at dicomweb(url), where url is that of the viewer.
export async function serve(dicomweb) {
  await fetch();
  const server = http.createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://viewer').pathname));
    if (path === '/app-config.js') {
      response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(config(dicomweb()));
      return;
    }
    let file = join(folder, path);
    // The viewer reads its own paths, such as /viewer.
    if (!(await stat(file).then((s) => s.isFile(), () => false))) file = join(folder, 'index.html');
    response.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
