import { echo, query, retrieve } from '../generated/orval/api';
import { echoRequest, queryRequest, report, retrieveRequest, run } from './demonstration';

async function main() {
  const echoed = await echo(echoRequest);
  const found = await query(queryRequest);
  const moved = await retrieve(retrieveRequest);
  if (echoed.status !== 200 || found.status !== 200 || moved.status !== 200) {
    throw new Error(JSON.stringify([echoed, found, moved]));
  }
  if (typeof moved.data === 'string') throw new Error('an event stream');
  report(echoed.data, found.data, moved.data);
}

run(main);
