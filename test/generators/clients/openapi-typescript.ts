import createClient from 'openapi-fetch';
import type { paths } from '../generated/openapi-typescript/contract';
import { baseUrl, echoRequest, queryRequest, report, retrieveRequest, run } from './demonstration';

async function main() {
  const gateway = createClient<paths>({ baseUrl });
  const echo = await gateway.POST('/echo', { body: echoRequest });
  const query = await gateway.POST('/q', { body: queryRequest });
  const retrieve = await gateway.POST('/qr', { body: retrieveRequest });
  if (!echo.data || !query.data || !retrieve.data) {
    throw new Error(JSON.stringify([echo.error, query.error, retrieve.error]));
  }
  if (typeof retrieve.data === 'string') throw new Error('an event stream');
  report(echo.data, query.data, retrieve.data);
}

run(main);
