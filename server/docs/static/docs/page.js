'use strict';

// The gateway marks its pages if it requires API keys. If it does not, the pages leave out what asks for one.
const apiKeys = document.getElementById('page').hasAttribute('data-api-keys');

function shownContract(contract) {
  if (apiKeys) return contract;
  const shown = structuredClone(contract);
  delete shown.security;
  delete shown.components?.securitySchemes;
  for (const path of Object.values(shown.paths ?? {})) {
    for (const operation of Object.values(path)) delete operation.security;
  }
  return shown;
}
