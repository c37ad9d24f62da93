import { echo, query, retrieve } from '../generated/openapi-ts';
import { client } from '../generated/openapi-ts/client.gen';
import { baseUrl, echoRequest, queryRequest, report, retrieveRequest, run } from './demonstration';

async function main() {
  client.setConfig({ baseUrl, throwOnError: true });
  const { data: echoed } = await echo({ body: echoRequest, throwOnError: true });
  const { data: found } = await query({ body: queryRequest, throwOnError: true });
  const { data: moved } = await retrieve({ body: retrieveRequest, throwOnError: true });
  report(echoed, found, moved);
}

run(main);
