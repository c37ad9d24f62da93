'use strict';

// Swagger UI has a dark style and leaves it to the page to ask for it.
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

SwaggerUIBundle({
  domNode: document.getElementById('page'),
  url: 'openapi.yaml',
  validatorUrl: null, // the default sends the contract's address to another host
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});
