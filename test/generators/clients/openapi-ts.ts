import { echo, query, retrieve, searchStudies } from '../generated/openapi-ts';
import { client } from '../generated/openapi-ts/client.gen';
import { baseUrl, echoRequest, queryRequest, report, retrieveRequest, run, search } from './demonstration';

async function main() {
  client.setConfig({ baseUrl, throwOnError: true });
  const { data: echoed } = await echo({ body: echoRequest, throwOnError: true });
  const { data: found } = await query({ body: queryRequest, throwOnError: true });
  const { data: moved } = await retrieve({ body: retrieveRequest, throwOnError: true });
  const { data: studies } = await searchStudies({ path: { pacs: 'orthanca' }, query: search, throwOnError: true });
  report(echoed, found, moved, studies);
}

run(main);
