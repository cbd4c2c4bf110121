import { createHash } from 'node:crypto';
import { Controller, Get, Header } from '@nestjs/common';
import { z } from 'zod';
import { linkTokenSchema } from '../auth/link-token.js';
import { Accepts } from './accepts.js';
import { Answers } from './answers.js';

interface LinkPage {
  title: string;
  says: string;
  button: string;
  done: string;
  action: string;
  /** What is asked for beside the button: the member of the request's body. */
  password: 'newPassword' | 'password' | null;
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 30rem; margin: 4rem auto; padding: 0 1rem; }
label, input, button { display: block; font: inherit; }
input { width: 100%; box-sizing: border-box; margin: .3rem 0 1rem; padding: .5rem; }
button { padding: .5rem 1rem; }
`;

/** The token comes from the page's address and goes into the request's body; it is shown and kept nowhere. */
const SCRIPT = `
const form = document.querySelector('form');
const status = document.querySelector('[role=status]');
const token = new URLSearchParams(location.search).get('token');
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  const password = form.querySelector('input');
  const body = JSON.stringify(password ? { token, [password.name]: password.value } : { token });
  const headers = { 'Content-Type': 'application/json' };
  let text = 'This did not work: the service cannot be reached. Please try again.';
  try {
    const answer = await fetch(form.dataset.action, { method: 'POST', headers, body });
    if (answer.ok) {
      // The page keeps no session: what counts is that this browser is known from here on.
      const opened = answer.status === 200 && (await answer.json()).token;
      if (opened) await fetch('/v1/auth/logout', { method: 'POST', headers: { Authorization: 'Bearer ' + opened } });
      form.remove();
      text = form.dataset.done;
    } else {
      const { code, title } = await answer.json();
      text = code === 'invalid_request' ? 'A password needs 12 to 256 characters.' : title + '.';
    }
  } catch {}
  status.textContent = text;
  button.disabled = false;
});
`;

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const CSP = [
  `default-src 'none'; style-src ${hashOf(STYLE)}; script-src ${hashOf(SCRIPT)}; connect-src 'self'`,
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join('; ');
const HTML = { summary: 'A page behind a mailed link; it does nothing before its button is pressed', schema: z.string(), media: 'text/html', safe: true }; // prettier-ignore

/** The few pages that mailed links lead to. A link that acted when opened would be pressed by mail scanners. */
@Controller()
export class LinkPagesController {
  @Get('verify-email')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  verifyEmail(): string {
    return page({
      title: 'Confirm your address',
      says: 'If you registered, or were asked to confirm this address.',
      button: 'This address is mine',
      done: 'Confirmed. Go back to your application.',
      action: '/v1/auth/email/verify',
      password: null,
    });
  }

  @Get('finish-registration')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  finishRegistration(): string {
    return page({
      title: 'Welcome: choose a password',
      says: 'With it the account is yours. If you did not register, close this page.',
      button: 'Set the password',
      done: 'The password is set. You can sign in with it.',
      action: '/v1/auth/register/finish',
      password: 'newPassword',
    });
  }

  @Get('reset-password')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  resetPassword(): string {
    return page({
      title: 'Choose a new password',
      says: 'It ends every session of your account.',
      button: 'Set the password',
      done: 'The password is set. You can sign in with it.',
      action: '/v1/auth/password/reset/confirm',
      password: 'newPassword',
    });
  }

  @Get('log-in')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  logIn(): string {
    return page({
      title: 'Show that it is you',
      says: 'Others try your account. After this your own tries from this browser are counted apart from theirs. The link is for one try.',
      button: 'This is my password',
      done: 'This browser is known now. Go back to your application and sign in.',
      action: '/v1/auth/login/link/confirm',
      password: 'password',
    });
  }

  @Get('accept-invitation')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  acceptInvitation(): string {
    return page({
      title: 'Welcome: choose a password',
      says: 'You were invited to an account.',
      button: 'Set the password',
      done: 'The password is set. You can sign in with it.',
      action: '/v1/auth/invitation/accept',
      password: 'newPassword',
    });
  }

  @Get('confirm-email-change')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  confirmEmailChange(): string {
    return page({
      title: 'Confirm your new address',
      says: 'After a waiting time it replaces the old one.',
      button: 'This address is mine',
      done: 'Confirmed. The address changes when the waiting time is over.',
      action: '/v1/auth/email/change/confirm',
      password: null,
    });
  }

  @Get('cancel-email-change')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  cancelEmailChange(): string {
    return page({
      title: 'Keep your address',
      says: 'Somebody who is signed in to your account asked for another e-mail address.',
      button: 'Keep the old address',
      done: 'The address stays. If it was not you who asked, change your password now.',
      action: '/v1/auth/email/change/cancel',
      password: null,
    });
  }

  @Get('undo-email-change')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  undoEmailChange(): string {
    return page({
      title: 'Take this address back',
      says: 'Your account gets this address back and every session ends. For a day the other address may object, and nothing is reset or recovered by mail.',
      button: 'This is my account',
      done: 'Done. When the day is over, have your password reset.',
      action: '/v1/auth/email/change/undo',
      password: null,
    });
  }

  @Get('object-email-change')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  objectEmailChange(): string {
    return page({
      title: 'This is your account?',
      says: 'If you object, nobody can sign in until the people who run the service have decided whose account it is.',
      button: 'I object',
      done: 'Done. Please tell the people who run the service, and be ready to show who you are.',
      action: '/v1/auth/email/change/object',
      password: null,
    });
  }

  @Get('cancel-erasure')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  cancelErasure(): string {
    return page({
      title: 'Keep your account',
      says: 'Somebody who is signed in to your account asked for its erasure.',
      button: 'Keep the account',
      done: 'The account stays. If it was not you who asked, change your password now.',
      action: '/v1/privacy/cancel-erasure',
      password: null,
    });
  }

  @Get('not-me')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Accepts({ query: linkTokenSchema })
  @Answers(HTML)
  notMe(): string {
    return page({
      title: 'This was not you?',
      says: 'This ends every session, demands a new password and removes a face that was just enrolled.',
      button: 'It was not me',
      done: 'Done. Choose a new password by "forgotten password" before you sign in again.',
      action: '/v1/security/not-me',
      password: null,
    });
  }
}

function page({ title, says, button, done, action, password }: LinkPage): string {
  const field =
    password === 'newPassword'
      ? '<label for="p">New password, 12 characters or more</label>' +
        '<input id="p" name="newPassword" type="password" minlength="12" maxlength="256" autocomplete="new-password" required>'
      : '<label for="p">Password</label>' +
        '<input id="p" name="password" type="password" maxlength="256" autocomplete="current-password" required>';
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
    `<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head>` +
    `<body><main><h1>${title}</h1><p>${says}</p><form data-action="${action}" data-done="${escaped(done)}">` +
    `${password ? field : ''}<button>${button}</button></form><p role="status"></p></main>` +
    `<script>${SCRIPT}</script></body></html>`
  );
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
