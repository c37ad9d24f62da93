import { Api } from '../generated/swagger-typescript-api/api';
import { baseUrl, echoRequest, queryRequest, report, retrieveRequest, run, search } from './demonstration';

async function main() {
  const api = new Api({ baseUrl });
  const echo = await api.echo.echo(echoRequest);
  const query = await api.q.query(queryRequest);
  const retrieve = await api.qr.retrieve(retrieveRequest);
  const found = await api.dicomweb.searchStudies('orthanca', search, { format: 'json' });
  report(echo.data, query.data, retrieve.data, found.data);
}

run(main);
