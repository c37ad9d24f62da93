// Reads `go test -json` and prints what a person wants to see of it: go test's
// own line for each package, and all that a failed or skipped test said. Appends
// "passed failed skipped" to the file named first.
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const said = new Map(); // what a running test said, by package and test
const count = { pass: 0, fail: 0, skip: 0 };
const key = (event) => `${event.Package} ${event.Test ?? ''}`;

function tell(name) {
  process.stdout.write(said.get(name) ?? '');
  said.delete(name);
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!line.startsWith('{')) {
    console.log(line);
    continue;
  }
  const event = JSON.parse(line);
  switch (event.Action) {
    case 'output':
      if (/^=== (RUN|PAUSE|CONT|NAME) /.test(event.Output)) break;
      if (event.Test) {
        said.set(key(event), (said.get(key(event)) ?? '') + event.Output);
      } else if (!/^(PASS|coverage:.*)$/.test(event.Output.trim())) {
        process.stdout.write(event.Output.replace(/(coverage: \S+) of statements in .*/, '$1'));
      }
      break;
    case 'build-output':
      process.stdout.write(event.Output);
      break;
    case 'pass':
    case 'fail':
    case 'skip':
      if (event.Test) {
        count[event.Action]++;
        if (event.Action === 'pass') said.delete(key(event));
        else tell(key(event));
      } else if (event.Action === 'fail') {
        // Tests that did not come to an end: a panic, a timeout.
        const unfinished = [...said.keys()].filter((name) => name.startsWith(`${event.Package} `));
        unfinished.forEach(tell);
        if (event.FailedBuild) count.fail++;
      }
      break;
  }
}
appendFileSync(process.argv[2], `${count.pass} ${count.fail} ${count.skip}\n`);
