import createClient from 'openapi-fetch';
import type { paths } from '../generated/openapi-typescript/contract';
import { baseUrl, echoRequest, queryRequest, report, retrieveRequest, run, search } from './demonstration';

async function main() {
  const gateway = createClient<paths>({ baseUrl });
  const echo = await gateway.POST('/echo', { body: echoRequest });
  const query = await gateway.POST('/q', { body: queryRequest });
  const retrieve = await gateway.POST('/qr', { body: retrieveRequest });
  const found = await gateway.GET('/dicomweb/{pacs}/studies', { params: { path: { pacs: 'orthanca' }, query: search } });
  if (!echo.data || !query.data || !retrieve.data || !found.data) {
    throw new Error(JSON.stringify([echo.error, query.error, retrieve.error, found.error]));
  }
  if (typeof retrieve.data === 'string') throw new Error('an event stream');
  report(echo.data, query.data, retrieve.data, found.data);
}

run(main);
