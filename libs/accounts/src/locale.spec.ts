import { localeOf } from './locale.js';

describe('case 18: a language is a hint, never a condition', () => {
  it.each([
    ['de', 'de'],
    ['de-AT', 'de-AT'],
    ['EN-us', 'en-US'],
    ['de_DE', 'de-DE'],
    ['de_DE.UTF-8', 'de-DE'],
    ['sr_RS@latin', 'sr-RS'],
    ['zh-Hant-TW', 'zh-Hant-TW'],
    ['sr-Latn-RS', 'sr-Latn-RS'],
    ['en-US-u-hc-h12', 'en-US'],
    ['zh-cmn-Hans-CN', 'zh-Hans-CN'],
    ['de-CH-1901', 'de-CH'],
    ['es-419', 'es-419'],
    ['en-GB-oed', 'en'],
    ['de-x-private', 'de'],
    [' de ', 'de'],
    ['', undefined],
    ['*', undefined],
    ['und', undefined],
    ['C.UTF-8', undefined],
    ['POSIX', undefined],
    ['i-klingon', undefined],
    ['x-private', undefined],
    ['english!', undefined],
    ['$ne', undefined],
  ])('%j: %s', (text, locale) => {
    expect(localeOf(text)).toBe(locale);
    // As wide as the field that version 0.1 reads.
    expect((localeOf(text) ?? '').length).toBeLessThanOrEqual(16);
  });
});
