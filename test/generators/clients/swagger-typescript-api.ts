import { Api } from '../generated/swagger-typescript-api/api';
import { baseUrl, echoRequest, queryRequest, report, retrieveRequest, run } from './demonstration';

async function main() {
  const api = new Api({ baseUrl });
  const echo = await api.echo.echo(echoRequest);
  const query = await api.q.query(queryRequest);
  const retrieve = await api.qr.retrieve(retrieveRequest);
  report(echo.data, query.data, retrieve.data);
}

run(main);
