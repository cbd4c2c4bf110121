import { failureOf } from './smtp.js';

/** As nodemailer reports a reply. */
const replied = (command: string, response: string) =>
  Object.assign(new Error('of the driver'), { command, response, responseCode: Number(response.slice(0, 3)) });

it.each([
  ['RCPT TO', '550 5.1.1 <a@example.org>: user unknown', { kind: 'refused', reply: '550 5.1.1' }],
  ['RCPT TO', '550-5.2.1 closed', { kind: 'refused', reply: '550 5.2.1' }],
  ['RCPT TO', '553 no', { kind: 'refused', reply: '553' }],
  ['RCPT TO', '550 5.7.1 relaying denied', { kind: 'forbidden', reply: '550 5.7.1' }],
  ['DATA', '554 5.6.0 no', { kind: 'refused', reply: '554 5.6.0' }],
  ['RCPT TO', '452 4.2.2 mailbox full', { kind: 'deferred' }],
  ['RCPT TO', '421 4.3.2 shutting down', { kind: 'deferred' }],
  ['DATA', '451 4.3.0 try later', { kind: 'deferred' }],
  // These speak of us, or of the server.
  ['CONN', '554 5.3.2 no service', { kind: 'deferred' }],
  ['AUTH PLAIN', '535 5.7.8 wrong password', { kind: 'deferred' }],
  ['MAIL FROM', '530 5.7.0 must authenticate', { kind: 'deferred' }],
  ['RCPT TO', '530 Authentication required', { kind: 'deferred' }],
  ['RCPT TO', '503 5.5.1 need MAIL before RCPT', { kind: 'deferred' }],
  ['DATA', '502 not implemented', { kind: 'deferred' }],
])('case 12: to %s, "%s"', (command, response, expected) => {
  expect(failureOf(replied(command, response), command === 'DATA')).toMatchObject(expected);
});

it('case 2: no answer means something else before the last byte than after it', () => {
  const cut = new Error('Connection closed unexpectedly');
  expect(failureOf(cut, false)).toMatchObject({ kind: 'deferred' });
  expect(failureOf(cut, true)).toMatchObject({ kind: 'unanswered' });
});
