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

SwaggerUIBundle({
  domNode: document.getElementById('page'),
  url: 'openapi.yaml',
  validatorUrl: null, // the default sends the URL of the contract to another host
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  onComplete: addLinkToRoutes,
});
