import { mailLocaleOf } from './mail.js';

describe('the language of mails', () => {
  it.each([
    ['de-AT', 'de'],
    ['de-CH,de;q=0.9,en;q=0.8', 'de'],
    ['fr-FR, fr;q=0.9, en;q=0.3, de;q=0.7', 'de'],
    ['DE;q=0.2,EN', 'en'],
    ['de;q=0, en;q=0.1', 'en'],
    ['de;q=much, en;q=0.1', 'en'],
    ['fr,*;q=0.5', undefined],
    ['den', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s: %s', (languages, locale) => {
    expect(mailLocaleOf(languages)).toBe(locale);
  });
});
