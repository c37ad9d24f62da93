import { echo, query, retrieve, searchStudies } from '../generated/orval/api';
import { echoRequest, queryRequest, report, retrieveRequest, run, search } from './demonstration';

async function main() {
  const echoed = await echo(echoRequest);
  const found = await query(queryRequest);
  const moved = await retrieve(retrieveRequest);
  const studies = await searchStudies('orthanca', search);
  if (echoed.status !== 200 || found.status !== 200 || moved.status !== 200 || studies.status !== 200) {
    throw new Error(JSON.stringify([echoed, found, moved, studies]));
  }
  if (typeof moved.data === 'string') throw new Error('an event stream');
  report(echoed.data, found.data, moved.data, studies.data);
}

run(main);
