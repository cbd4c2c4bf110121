import { isWrongServer } from './connections.js';

it.each([
  ["READONLY You can't write against a read only replica.", true],
  ['LOADING Redis is loading the dataset in memory', true],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true],
  ['UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)', true],
  ['CLUSTERDOWN The cluster is down', true],
  [
    "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.",
    true,
  ],
  ["OOM command not allowed when used memory > 'maxmemory'.", false],
  ['ERR value of READONLY is no integer', false],
  ['Connection is closed.', false],
])('case 4: %s: another connection is made: %s', (message, expected) => {
  expect(isWrongServer(new Error(message))).toBe(expected);
});
