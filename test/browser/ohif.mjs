// Serves the OHIF viewer, as its npm package holds it, for a DICOMweb server.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetch, version } from '../../samples/ohif/fetch.mjs';

const folder = fileURLToPath(new URL(`../../bin/ohif-${version}`, import.meta.url));

// viewer resolves to the folder of OHIF.
export async function viewer() {
  await fetch(folder);
  return folder;
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
  await viewer();
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
