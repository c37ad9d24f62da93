// Serves the OHIF viewer and, from the same origin, DICOMweb of the gateway: node server.mjs FOLDER.
// FOLDER holds the viewer. GATEWAY_URL, HOST and PORT are the gateway and the address to listen on.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize, resolve } from 'node:path';
import { pipeline } from 'node:stream';
import { fileURLToPath } from 'node:url';

const types = {
  '.css': 'text/css', '.gif': 'image/gif', '.html': 'text/html; charset=utf-8', '.ico': 'image/x-icon', '.jpg': 'image/jpeg',
  '.js': 'text/javascript', '.json': 'application/json', '.mjs': 'text/javascript', '.png': 'image/png', '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf', '.wasm': 'application/wasm', '.webp': 'image/webp', '.woff': 'font/woff', '.woff2': 'font/woff2',
};

// source is the data source of a PACS, with what the viewer can expect of the gateway.
const source = ({ name, description }) => ({
  namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
  sourceName: name,
  configuration: {
    friendlyName: description || name,
    name,
    qidoRoot: `/dicomweb/${name}`,
    wadoRoot: `/dicomweb/${name}`,
    qidoSupportsIncludeField: true,
    supportsFuzzyMatching: false,
    supportsWildcard: true,
    // The gateway makes thumbnails from the series that the viewer loads in any case.
    imageRendering: 'wadors',
    thumbnailRendering: 'wadors',
    enableStudyLazyLoad: true,
    // A server that answers requests, not a folder of prepared files.
    staticWado: false,
    singlepart: 'bulkdata,video',
    bulkDataURI: { enabled: true },
  },
});

// config is the configuration of the viewer: a data source for each PACS, and nothing of another host.
const config = (pacs) => `window.config = ${JSON.stringify({
  routerBasename: null,
  extensions: [],
  modes: [],
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: pacs[0]?.name,
  dataSources: pacs.map(source),
}, null, 2)};\n`;

// pacsOf returns the PACS that the gateway has names for.
async function pacsOf(gateway) {
  const response = await fetch(new URL('/pacs', gateway));
  if (!response.ok) throw new Error(`${response.url} answers ${response.status}`);
  return (await response.json()).pacs;
}

// forward passes a request on and its answer back. An answer that the gateway breaks off is broken off here too, since an incomplete
// study must not look whole; a caller who leaves ends the retrieval.
function forward(gateway, request, response) {
  const { method, headers } = request;
  const onward = http.request(new URL(request.url, gateway), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    pipeline(answer, response, () => {});
  });
  onward.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { 'Content-Type': 'text/plain' }).end('The gateway does not answer.\n');
  });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

// files serves the files of the viewer; any other path is one that the viewer reads itself, such as /viewer.
async function files(folder, path, response) {
  let file = join(folder, normalize(path));
  if (!(await stat(file).then((s) => s.isFile(), () => false))) file = join(folder, 'index.html');
  response.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'X-Content-Type-Options': 'nosniff' });
  pipeline(createReadStream(file), response, () => {});
}

// serve resolves to the URL of the viewer, and stop(). pacs are those that the viewer has data sources for.
export async function serve(folder, { gateway, host = '127.0.0.1', port = 0, pacs = () => pacsOf(gateway) }) {
  await readFile(join(folder, 'index.html'));
  const server = http.createServer(async (request, response) => {
    try {
      const path = decodeURIComponent(new URL(request.url, 'http://viewer').pathname);
      if (path.startsWith('/dicomweb/')) forward(gateway, request, response);
      else if (path === '/app-config.js') {
        const script = config(await pacs());
        response.writeHead(200, { 'Content-Type': 'text/javascript', 'Cache-Control': 'no-store' }).end(script);
      } else await files(folder, path, response);
    } catch (error) {
      console.error(error.message);
      response.writeHead(502, { 'Content-Type': 'text/plain' }).end('The gateway does not answer.\n');
    }
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: `http://${host === '127.0.0.1' ? host : 'localhost'}:${server.address().port}`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { GATEWAY_URL: gateway = 'http://127.0.0.1:8888', HOST: host = '127.0.0.1', PORT: port = '3000' } = process.env;
  const { url, stop } = await serve(resolve(process.argv[2] ?? '.'), { gateway, host, port: Number(port) });
  console.log(`OHIF: ${url}`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop().then(() => process.exit(0)));
}
