'use strict';

// Swagger UI has a dark style and leaves it to the page to ask for it.
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

// The contract teaches before it lists; who has read it goes on to the routes.
function addWayToRoutes() {
  const first = document.querySelector('.opblock-tag-section');
  const nav = document.querySelector('.masthead nav');
  if (!first || nav.querySelector('[href^="#"]')) return;
  const routes = first.parentElement;
  routes.id = 'routes';
  routes.tabIndex = -1;
  nav.insertAdjacentHTML('afterbegin', '<a href="#routes">Routes</a>');
  // Swagger UI keeps the fragment for operations, so the browser does not follow it.
  nav.firstElementChild.addEventListener('click', (event) => {
    event.preventDefault();
    routes.focus();
    routes.scrollIntoView();
  });
}

SwaggerUIBundle({
  domNode: document.getElementById('page'),
  url: 'openapi.yaml',
  validatorUrl: null, // the default sends the contract's address to another host
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  onComplete: addWayToRoutes,
});
