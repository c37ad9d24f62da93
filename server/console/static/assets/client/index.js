export { createGateway } from './gateway.js';
export { IncompleteError } from './instances.js';
export { CutOffError, readEvents } from './events.js';
export { ProblemError, ReplyError, statusOf, } from './problem.js';
