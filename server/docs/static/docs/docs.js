'use strict';

// Swagger UI has dark styles, which the page must switch on.
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

// The contract begins with a long introduction. The link skips it.
function addLinkToRoutes() {
  const first = document.querySelector('.opblock-tag-section');
  const nav = document.querySelector('.masthead nav');
  if (!first || nav.querySelector('[href^="#"]')) return;
  const routes = first.parentElement;
  routes.id = 'routes';
  routes.tabIndex = -1;
  nav.insertAdjacentHTML('afterbegin', '<a href="#routes">Routes</a>');
  // Swagger UI uses fragments for operations, so the browser does not scroll to this one.
  nav.firstElementChild.addEventListener('click', (event) => {
    event.preventDefault();
    routes.focus();
    routes.scrollIntoView();
  });
}

// Responses of 400 and above are folded: a row with the status and the first sentence, which opens the whole response.
const foldErrors = (Response, { React, getComponent }) => function FoldedResponse(props) {
  const h = React.createElement;
  const [open, setOpen] = React.useState(false);
  const { code, response } = props;
  if (code < '400') return h(Response, props); // "default" is after the numbers
  const description = (response.get('description') ?? '').trim();
  const first = description.split(/(?<=\.)\s|[:;]\s/)[0].replace(/\.?$/, '.');
  const id = `response-${props.path}-${props.method}-${code}`;
  return h(React.Fragment, null,
    h('tr', { className: 'response-fold', 'data-fold': code },
      h('td', { className: 'response-col_status' },
        h('button', { type: 'button', 'aria-expanded': open, 'aria-describedby': id, onClick: () => setOpen(!open) }, code)),
      h('td', { id, className: 'response-col_description' },
        h(getComponent('Markdown', true), { source: open ? description : first }))),
    open && h(Response, props));
};

const plugin = () => ({
  statePlugins: {
    spec: { wrapActions: { updateJsonSpec: (update) => (contract) => update(shownContract(contract)) } },
  },
  wrapComponents: { response: foldErrors, ...EventStreams.wrapComponents },
});

SwaggerUIBundle({
  domNode: document.getElementById('page'),
  url: 'openapi.yaml',
  validatorUrl: null, // the default sends the URL of the contract to another host
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [plugin],
  requestInterceptor: EventStreams.requestInterceptor,
  layout: 'BaseLayout',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  onComplete: addLinkToRoutes,
});
