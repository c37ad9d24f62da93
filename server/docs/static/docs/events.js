'use strict';

// Event streams of "Try it out". Swagger UI shows a response when it is complete; this plugin shows the events as they
// arrive.
const EventStreams = (() => {
  const shownEvents = 200; // a stream can have an event for each instance of a study

  // The latest stream of each operation by its path: {running, events: [{at, type, data}], total}.
  const streams = new Map();
  const listeners = new Set();
  const redraw = () => listeners.forEach((listener) => listener());

  // parse takes the complete events off text and returns them with the rest.
  function parse(text) {
    const blocks = text.split(/\r?\n\r?\n/);
    const rest = blocks.pop();
    const events = blocks.map((block) => Object.fromEntries(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s, 2))));
    return [events.filter(({ event, data }) => event && data), rest];
  }

  async function follow(path, body) {
    const started = performance.now();
    const stream = { running: true, events: [], total: 0 };
    streams.set(path, stream);
    redraw();
    try {
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const [events, rest] = parse(text + value);
        text = rest;
        for (const { event, data } of events) {
          stream.events.push({ key: stream.total++, at: performance.now() - started, type: event, data: JSON.parse(data) });
        }
        stream.events.splice(0, stream.events.length - shownEvents);
        redraw();
      }
    } finally {
      stream.running = false;
      redraw();
    }
  }

  // requestInterceptor of Swagger UI: reads a copy of each event stream.
  function requestInterceptor(request) {
    if (request.loadSpec) return request;
    const { pathname } = new URL(request.url, document.baseURI);
    const path = pathname.slice(pathname.lastIndexOf('/'));
    streams.delete(path);
    redraw();
    request.userFetch = async (url, options) => {
      const response = await fetch(url, options);
      if (response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        follow(path, response.clone().body).catch(() => {}); // Swagger UI reports the error of its own copy
      }
      return response;
    };
    return request;
  }

  const counted = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const summaries = {
    matched: ({ total_count }) => counted(total_count, 'study').replace('studys', 'studies'),
    progress: ({ study_index, study_count, completed, failed, remaining }) =>
      `study ${study_index} of ${study_count}: ` +
      [[completed, 'completed'], [failed, 'failed'], [remaining, 'remaining']]
        .filter(([n, what]) => n !== null && (n > 0 || what !== 'failed')).map(([n, what]) => `${n} ${what}`).join(', '),
    retrieved: ({ status, completed }) => status + (completed === null ? '' : `, ${counted(completed, 'instance')}`),
    result: ({ http_status, message }) => `${http_status}: ${message}`,
    error: ({ status, detail }) => `${status}: ${detail}`,
  };

  function state({ running, events }) {
    if (running) return 'receiving';
    return ['result', 'error'].includes(events.at(-1)?.type) ? 'complete' : 'cut off: the outcome is unknown';
  }

  // Swagger UI removes tryItOutResponse at "Clear", so the events go too.
  const wrap = (Responses, { React }) => function ResponsesWithEvents(props) {
    const h = React.createElement;
    const { path, tryItOutResponse } = props;
    const [, draw] = React.useReducer((n) => n + 1, 0);
    const log = React.useRef(null);
    React.useEffect(() => {
      listeners.add(draw);
      return () => listeners.delete(draw);
    }, []);
    React.useEffect(() => {
      if (!tryItOutResponse && !streams.get(path)?.running && streams.delete(path)) redraw();
    }, [tryItOutResponse]);
    const stream = streams.get(path);
    React.useEffect(() => {
      if (log.current && stream?.running) log.current.scrollTop = log.current.scrollHeight;
    });

    const events = stream && h('div', { className: 'events' },
      h('h4', null, `Events: ${state(stream)}`),
      stream.total > stream.events.length && h('p', null, `The last ${shownEvents} of ${stream.total} events.`),
      h('div', { className: 'events-log', role: 'log', tabIndex: 0, 'aria-label': 'Events', ref: log },
        stream.events.map(({ key, at, type, data }) => h('details', { key, 'data-event': type },
          h('summary', null,
            h('span', { className: 'events-time' }, `${(at / 1000).toFixed(2)} s`),
            h('b', null, type), ' ', summaries[type]?.(data)),
          h('pre', null, JSON.stringify(data, null, 2))))));
    return h(React.Fragment, null, events, h(Responses, props));
  };

  return { requestInterceptor, wrapComponents: { responses: wrap } };
})();
